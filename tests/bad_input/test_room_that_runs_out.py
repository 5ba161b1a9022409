"""A disk that fills up under a running installation, and room again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psycopg
import pytest

from pipeline.demo.facility import run

from .conftest import PLANTED, Site

pytestmark = pytest.mark.stack

FULL_FOR_S = 2.0


def fill(file: Path) -> None:
    """Writes until nothing more fits."""
    with file.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"\0" * 2**20)


def stages(site: Site) -> dict[str, tuple[str, str]]:
    """What `status` says about each part."""
    shown = json.loads(site.omero_mq("status", "--json", expect=None).stdout)
    return {each["name"]: (each["state"], each["said"]) for each in shown["stages"]}


def changes_refused(dsn: str) -> set[str]:
    """Users go on working for a while; answers what PostgreSQL says to them, in few words."""
    until, seed, refused = time.monotonic() + FULL_FOR_S, 100, set()
    while time.monotonic() < until:
        seed += 1
        try:
            list(run(dsn, seed=seed, actions=3, secrets=PLANTED))
        except psycopg.Error as error:
            refused.add(str(error).partition("\n")[0].rpartition(": ")[2])
            time.sleep(0.2)
    return refused


@pytest.mark.timeout(180)
def test_a_full_disk_loses_nothing_ends_no_service_and_needs_no_hand_once_there_is_room(site: Site):
    if not site.disk_is_its_own:
        pytest.skip("no file system of its own could be mounted here")
    dsn = site.where.superuser_dsn(site.settings.omero.database)
    letters = list(site.records("omero.dlq.relay"))
    restarts = {one.name: one.restarts for one in site.stack.conditions()}
    full = site.home / "full"
    try:
        with pytest.raises(OSError, match="No space left"):
            fill(full)
        refused = changes_refused(dsn)
        deadline = time.monotonic() + 20
        wanted = {"Kafka": ("fail", "is away"), "processes here": ("warn", "4 of 5 run")}
        # Kafka goes on until it wants to write, and is seen to be away a moment before its end is, or once more while it starts.
        while not wanted.items() <= (shown := stages(site)).items() and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        full.unlink()
    assert refused == {"No space left on device"}
    assert {name: shown[name] for name in wanted} == wanted
    for name in restarts:
        site.stack.wait_ready(name, 60)
    list(run(dsn, seed=99, actions=5, secrets=PLANTED))
    rows = site.sql("SELECT id FROM eventlog WHERE NOT (action = 'REINDEX' AND permissions = -52)")
    missing = wanted = {f'"eventlog:{id_}"'.encode() for (id_,) in rows}
    deadline = time.monotonic() + 60
    while missing and time.monotonic() < deadline:
        time.sleep(0.5)
        told = b"".join(site.records("omero.events"))
        missing = {each for each in wanted if each not in told}
    assert missing == set()
    assert list(site.records("omero.dlq.relay")) == letters
    again = {one.name: one.restarts for one in site.stack.conditions()}
    assert {name for name in again if again[name] > restarts[name]} == {"kafka"}
