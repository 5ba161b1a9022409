"""A disk that fills up under a running installation, and room again."""

from __future__ import annotations

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


def lines(site: Site) -> dict[str, str]:
    """What `status` says about each part."""
    found = site.omero_mq("status", expect=3).stdout.splitlines()
    return {line[6:36].strip(): line[:4].strip() + " " + line[36:].strip() for line in found if line[:4].strip()}


@pytest.mark.timeout(180)
def test_a_full_disk_loses_nothing_ends_no_service_and_needs_no_hand_once_there_is_room(site: Site):
    if not site.disk_is_its_own:
        pytest.skip("no file system of its own could be mounted here")
    dsn = site.where.superuser_dsn(site.settings.omero.database)
    letters = list(site.records("omero.dlq.relay"))
    restarts = {one.name: one.restarts for one in site.stack.conditions()}
    full = site.home / "full"
    with pytest.raises(OSError, match="No space left"):
        fill(full)
    until = time.monotonic() + FULL_FOR_S
    refused, seed = set(), 100
    while time.monotonic() < until:
        seed += 1
        try:
            list(run(dsn, seed=seed, actions=3, secrets=PLANTED))
        except psycopg.Error as error:
            refused.add(str(error).partition("\n")[0].rpartition(": ")[2])
            time.sleep(0.2)
    assert refused == {"No space left on device"}
    shown = lines(site)
    assert shown["Kafka"] == "FAIL is away"
    assert shown["processes here"] == "warn 4 of 5 run"

    full.unlink()
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
