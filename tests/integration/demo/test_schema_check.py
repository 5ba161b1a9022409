"""What is relied on, held against a real database and what pg_dump writes of it."""

import shutil
import subprocess

import psycopg
import pytest

from pipeline.omero.schema import Finding, compare, plain_type, read_database, read_file

pytestmark = pytest.mark.stack


def test_each_difference_is_named_with_its_consequence(sql):
    sql.execute("ALTER TABLE eventlog DROP COLUMN event")
    sql.execute("ALTER TABLE image ALTER COLUMN series DROP DEFAULT, ALTER COLUMN series TYPE int8")
    sql.execute("DROP FUNCTION updated_entities_note_reindex")
    sql.execute("DROP TABLE _reindexing_required, wellsample")
    sql.execute("ALTER TABLE dataset ADD COLUMN something_newer text")
    assert [(finding.severity, finding.where, finding.problem) for finding in compare(read_database(sql))] == [
        ("error", "_reindexing_required", "the table is missing"),
        ("error", "eventlog.event", "the column is missing"),
        ("warning", "image.series", "is bigint, expected int4"),
        ("warning", "updated_entities_note_reindex()", "missing"),
        ("warning", "wellsample", "the table is missing"),
    ]


def test_reading_needs_no_right_but_to_connect(omero, sql, unique):
    sql.execute(f"CREATE ROLE {unique} LOGIN PASSWORD 'reader'")
    try:
        with psycopg.connect(omero, user=unique, password="reader") as connection:
            assert compare(read_database(connection)) == []
    finally:
        sql.execute(f"DROP ROLE {unique}")


def test_what_pg_dump_writes_reads_like_the_database_itself(omero, sql, tmp_path):
    pg_dump = shutil.which("pg_dump")
    if pg_dump is None:
        pytest.skip("pg_dump is not installed")
    file = tmp_path / "dump.sql"
    subprocess.run([pg_dump, "--schema-only", "--file", str(file), omero], check=True)
    dumped, live = read_file(file), read_database(sql)

    def plain(actual):
        return {table: {name: plain_type(kind) for name, kind in columns.items()} for table, columns in actual.tables.items()}

    assert plain(dumped) == plain(live)
    assert dumped.functions == live.functions
    assert compare(dumped) == []


def test_a_database_of_another_product_misses_what_matters_most_first(postgres):
    with postgres.database() as name, psycopg.connect(postgres.dsn(name)) as connection:
        first = compare(read_database(connection))
    assert Finding(
        severity="error", where="eventlog", problem="the table is missing", consequence="no change can be captured"
    ) in [finding for finding in first if finding.severity == "error"]
