"""Names as people give them, from a seeded source: some long, some odd, not all in ASCII."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

PEOPLE = (
    ("Ada", "Lovelace"),
    ("Šárka", "Nováková"),
    ("Wei", "Zhang"),
    ("Jürgen", "Müller"),
    ("Ingrid", "Åström"),
    ("Łukasz", "Żak"),
    ("Maria", "da Conceição"),
    ("Yuki", "Tanaka"),
    ("Priya", "Raman"),
    ("Tom", "O'Neill"),
    ("Zoë", "van den Berg"),
    ("Ahmed", "Farouk"),
)
LABS = ("Imaging Core", "Mitosis Lab", "Zebrafish Unit", "Müller Lab", "Plant Cell Biology", "High Content Screening", "Teaching")
STAINS = ("GFP-H2B", "DAPI", "mCherry-tubulin", "Phalloidin", "α-tubulin", "Hoechst", "Cy5")
SPECIMENS = ("HeLa", "U2OS", "zebrafish_24hpf", "Arabidopsis root", "liver section", "Drosophila embryo", "yeast")
ENDINGS = (".dv", ".czi", ".lif", ".ome.tiff", ".nd2")
TAGS = ("mitosis", "publication 2024", "to check", "out of focus", "control", "5 µm", "Fig. 3b", "naïve", "keep!", "重要")
REMARKS = (
    "Looks good to me",
    "Please check the focus",
    "Bleached after frame 12",
    "Best of the series",
    "Größe prüfen",
    "see Fig. 2, 5 µm bar",
)
KEYS = ("Gene Symbol", "siRNA", "Temperature", "Antibody", "Concentration", "Cell Line")


def user_name(index: int) -> tuple[str, str, str]:
    """Login, first and last name of the n-th user of a facility."""
    first, last = PEOPLE[index % len(PEOPLE)]
    return f"user-{index + 1}", first, last


def group_name(index: int) -> str:
    """Name of the n-th group of a facility."""
    lab = LABS[index % len(LABS)]
    return lab if index < len(LABS) else f"{lab} {index // len(LABS) + 1}"


def one(random: Random, choices: Sequence[str]) -> str:
    """One of them."""
    return random.choice(choices)


def image_name(random: Random) -> str:
    """A file name like those that microscopes and people make."""
    return f"{one(random, SPECIMENS)}_{one(random, STAINS)}_{random.randrange(1, 1000)}{one(random, ENDINGS)}"


def key_values(random: Random, count: int) -> list[tuple[str, str]]:
    """Keys and values of a map annotation; keys may repeat, as in OMERO."""
    return [(one(random, KEYS), f"{one(random, STAINS)} {random.randrange(1, 100)}") for _ in range(count)]
