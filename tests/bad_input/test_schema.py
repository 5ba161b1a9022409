"""A database that is not, or not quite, an OMERO: the real relay says so, reads on when it is mended, and loses nothing."""

from __future__ import annotations

import time

import psycopg
import pytest

from pipeline.demo.facility import run

from .conftest import PLANTED, Site

pytestmark = pytest.mark.stack


def test_a_column_that_goes_missing_stops_the_relay_with_its_name_and_nothing_is_lost(site: Site):
    dsn = site.where.superuser_dsn(site.settings.omero.database)
    log = site.data / "logs" / "relay.log"
    site.stack.wait_ready("relay")
    before = log.stat().st_size
    site.sql("ALTER TABLE image RENAME COLUMN group_id TO grp")
    try:
        ((event,),) = site.sql("SELECT max(id) FROM event")
        ((row,),) = site.sql(
            "INSERT INTO eventlog (id, permissions, action, entityid, entitytype, event)"
            " VALUES (ome_nextval('seq_eventlog'), -52, 'UPDATE', 1, 'ome.model.core.Image', %s) RETURNING id",
            event,
        )
        deadline = time.monotonic() + 20
        while b"\n  fix: " not in (said := log.read_bytes()[before:]) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        site.sql("ALTER TABLE image RENAME COLUMN grp TO group_id")
    where = f"database omero at 127.0.0.1:{site.where.postgres_port}"
    assert f'error: {where} has not what OMERO 5.4 has: column "group_id" does not exist'.encode() in said
    assert b"fix: Run `omero-mq doctor --schema`; it names every table and column that is missing" in said
    assert b"Traceback" not in said
    site.stack.wait_ready("relay")
    list(run(dsn, seed=7, actions=1, secrets=PLANTED))
    deadline = time.monotonic() + 30
    while f'"eventlog:{row}"'.encode() not in b"".join(site.records("omero.events")):
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_a_database_of_another_product_is_refused_by_every_command_that_reads_it(site: Site):
    site.sql("CREATE DATABASE shop")
    try:
        with psycopg.connect(site.where.superuser_dsn("shop")) as connection:
            connection.execute("CREATE TABLE customer (id int PRIMARY KEY, name text)")
        there = ("--set", "omero.database=shop")
        for command in (("run", "relay"), ("epoch", "show")):
            done = site.omero_mq(*command, *there, expect=1)
            assert f"database shop at 127.0.0.1:{site.where.postgres_port}" in done.stderr
            assert "  fix: " in done.stderr
        schema = site.omero_mq("doctor", "--schema", *there, expect=3).stdout
        assert "FAIL  eventlog: the table is missing\n        no change can be captured" in schema
    finally:
        site.sql("DROP DATABASE shop WITH (FORCE)")
