"""What is promised in words: links that resolve, references that agree with the code, no paths of one workplace."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.app import COMMANDS, command_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
# Spelt in halves, so that this file does not find itself.
WORKPLACE = re.compile("/wo" + "rk/|/tmp/j" + "vm|" + r"\bissue" + r" 3\b")
SHIPPED = ("*.py", "*.md", "*.toml", "*.avsc", "*.json", "*.sql", "*.yml", "*.yaml", "*.xml", "*.service", "*.sh", "Dockerfile")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+\s+(.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in titles}


def dead_links(page: Path) -> list[str]:
    dead = []
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in LINK.findall(text):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and found.suffix == ".md" and anchor not in anchors(found)):
            dead.append(target)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_of_ours_resolves(page):
    assert dead_links(page) == []


def test_no_file_names_paths_of_one_workplace():
    found = [path for path in tracked(*SHIPPED) if WORKPLACE.search(path.read_text(encoding="utf-8", errors="replace"))]
    assert [str(path.relative_to(ROOT)) for path in found] == []


def test_the_changelog_has_a_place_for_what_is_not_released():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    assert re.search(r"^## \[Unreleased\]\n\n### (Added|Changed|Deprecated|Removed|Fixed|Security)\n", text, flags=re.MULTILINE)


def test_the_reference_pages_say_what_the_code_says():
    checked = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.reference", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.stderr == ""
    assert checked.returncode == 0


def test_a_dead_link_and_a_missing_anchor_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One Title\n[a](gone.md) [b](#one-title) [c](#two) [d](https://example.org) `[e](no)` [f](page.md)\n")
    assert dead_links(page) == ["gone.md", "#two"]


# Commands of this release whose modules come with their rooms; a name leaves this list when it joins the table.
PLANNED: frozenset[str] = frozenset()
MENTION = re.compile(r"`omero-mq ([a-z-]+)(?: ([a-z-]+))?[^`\n]*`")


def unknown_commands(text: str) -> list[str]:
    """Commands that a text tells its reader to type and that do not exist."""
    found = []
    for noun, verb in MENTION.findall(text):
        if noun in PLANNED or noun.startswith("-"):
            continue
        verbs = getattr(command_of(noun), "commands", {}) if noun in COMMANDS else {}
        if noun not in COMMANDS or (verbs and verb not in {*verbs, ""}):
            found.append(f"{noun} {verb}".strip())
    return found


def test_every_command_that_a_text_tells_to_type_exists():
    texts = {path: path.read_text(encoding="utf-8") for path in [*PAGES, *(ROOT / "pipeline").rglob("*.py")]}
    assert {str(path.relative_to(ROOT)): found for path, text in texts.items() if (found := unknown_commands(text))} == {}


def test_a_command_that_does_not_exist_is_found():
    assert unknown_commands("`omero-mq topic list` `omero-mq topic shout` `omero-mq nothing` `omero-mq doctor`") == [
        "topic shout",
        "nothing",
    ]


def test_a_command_that_exists_is_not_planned_any_more():
    assert PLANNED & COMMANDS.keys() == set()
