"""`omero-mq try`: a dump of an OMERO is served, and anything else is refused with what is wrong and what to do."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import time

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]
MAKE_ONE = "make one on OMERO's server: pg_dump -Fc -f omero.dump omero"


@pytest.fixture(scope="module")
def dumps(site):
    """A directory with dumps of an OMERO-shaped database with something in it, and of other things."""
    site.run("demo", "--keep", "--actions", "5", "--rate", "50")
    port = json.loads((site.data / "addresses.json").read_text())["postgres_port"]

    def dump(name: str, database: str, *options: str) -> bytes:
        command = ["pg_dump", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", *options, "-f", name, database]
        environ = {"PATH": os.environ["PATH"], "PGPASSWORD": site.secret("postgres-superuser")}
        subprocess.run(command, cwd=site.path, env=environ, check=True, timeout=60)
        return (site.path / name).read_bytes()

    archive = dump("omero.dump", "omero", "-Fc")
    text = dump("omero.sql", "omero")
    dump("other.dump", "omero_mq", "-Fc")
    dump("whole.sql", "omero", "--create")
    newer = bytearray(archive)
    newer[6] = 99  # minor version of the archive's format
    pieces = {
        "cut.dump": archive[:-200],  # the table of contents, at the front, is whole
        "head.dump": archive[:2000],
        "cut.sql": text[:200_000],
        "newer.dump": bytes(newer),
        "empty.dump": b"",
        "letter.txt": b"Dear all,\nplease find the dump attached.\n",
        "packed.sql.gz": b"\x1f\x8b\x08\x00",
        "shop.sql": b"-- PostgreSQL database dump\nCREATE TABLE orders (id int8);\n-- PostgreSQL database dump complete\n",
    }
    for name, content in pieces.items():
        (site.path / name).write_bytes(content)
    site.run("down")
    return site.path


@pytest.mark.parametrize(
    ("name", "said", "fix"),
    [
        ("other.dump", "other.dump is no dump of an OMERO database: 39 things are missing, eventlog, event, ", MAKE_ONE),
        ("head.dump", "head.dump is cut off or damaged: ", "copy it again and compare its size and checksum"),
        ("cut.sql", "cut.sql is cut off: its last line is missing", "copy it again and compare its size and checksum"),
        ("newer.dump", "newer.dump was written by a newer pg_dump than version ", "install that version of PostgreSQL here"),
        ("whole.sql", "whole.sql was made with --create: ", "make it without --create"),
        ("empty.dump", "empty.dump is empty", MAKE_ONE),
        ("letter.txt", "letter.txt is no dump that PostgreSQL made", MAKE_ONE),
        ("packed.sql.gz", "packed.sql.gz is compressed by another program", "unpack it first"),
        ("gone.dump", "gone.dump cannot be read: No such file or directory", "name the dump's file"),
    ],
)
def test_what_cannot_be_served_is_refused_before_anything_starts(site, dumps, name, said, fix):
    done = site.run("try", "--dump", name, expect=1)
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith(f"error: {said}")
    assert second.startswith(f"  fix: {fix}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cut.dump", "cut.dump is cut off or damaged: "),
        (
            "shop.sql",
            "shop.sql is no dump of an OMERO database: 39 things are missing, eventlog, event, eventtype, session and more",
        ),
    ],
)
def test_what_shows_only_during_the_restore_leaves_nothing_behind(site, dumps, name, said):
    done = site.run("try", "--dump", name, expect=1)
    assert f"error: {said}" in done.stderr
    assert list((site.data / "try").glob("*.toml")) == []
    assert site.left_over() == []
    assert "there is no copy in" in site.run("try", expect=1).stderr


def test_an_archive_is_restored_and_its_newest_image_arrives_and_the_next_dump_replaces_it(site, dumps, read):
    done = site.run("try", "--dump", "omero.dump", "--once", "--json")
    (copy,) = read(done.stdout, "copy")
    (change,) = read(done.stdout, "change")
    assert copy["version"] == "OMERO5.4__0"
    assert copy["counts"]["image"] > 0
    assert (change["action"], change["event_action"], change["problems"]) == ("read again", "REINDEX", [])
    assert re.fullmatch(r"Image:\d+", change["object"])
    assert change["actor"] == "root"
    assert (change["owner"], change["group"]) != ("-", "-")
    assert site.left_over() == []

    running = site.start("try", "--dump", "omero.sql", "--simulate")
    said = []
    while not said or not said[-1].startswith("Events are shown here"):
        said.append(running.stdout.readline())
        assert said[-1] or running.poll() is None, running.communicate()
    commands = [line.strip() for before, line in itertools.pairwise(said) if before.startswith("  # ")][:5]
    changes = [running.stdout.readline() for _ in range(12)]
    assert any("log in" in line for line in changes)
    for command in commands:
        pasted = site.paste(command)
        assert pasted.returncode == 0, (command, pasted.stdout, pasted.stderr)
        assert pasted.stdout.strip(), command
    assert "too many connections" not in (site.data / "logs" / "postgres.log").read_text()
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, (out, err)
    assert f"removing the copy before this one ({copy['database']})" in err
    assert [path.name for path in (site.data / "try").iterdir()] == ["try2.toml"]
    assert site.left_over() == []


def test_ctrl_c_during_a_restore_ends_it_at_once(site, dumps):
    text = (dumps / "omero.sql").read_text()
    (dumps / "slow.sql").write_text(text.replace("SET statement_timeout = 0;", "SELECT pg_sleep(120);", 1))
    before = sorted(path.name for path in (site.data / "try").iterdir())
    running = site.start("try", "--dump", "slow.sql")
    while "restoring slow.sql" not in running.stderr.readline():
        assert running.poll() is None
    time.sleep(1)
    asked = time.monotonic()
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert time.monotonic() - asked < 20
    assert sorted(path.name for path in (site.data / "try").iterdir()) == before
    assert site.left_over() == []


def test_a_variable_that_names_another_database_is_refused(site, dumps):
    site.environ["OMERO_MQ_OMERO_DATABASE"] = "omero"
    try:
        done = site.run("try", "--dump", "omero.dump", expect=1)
    finally:
        del site.environ["OMERO_MQ_OMERO_DATABASE"]
    assert "omero.database is set by OMERO_MQ_OMERO_DATABASE, and a copy has a name of its own" in done.stderr
