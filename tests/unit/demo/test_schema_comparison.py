"""Schema files as people have them, and what is said about each difference."""

from pathlib import Path

import pytest

from pipeline.errors import Misconfigured
from pipeline.omero.schema import Actual, Finding, compare, parse, plain_type, read_file, reference, relied

HIBERNATE_STYLE = """
    create table wellsample (
        id int8 not null,
        posXUnit UnitsLength,
        posX float8,
        timepoint timestamp,
        plateAcquisition int8,
        "row" int4,
        "file" int8,
        name varchar(255) not null unique,
        version int4,
        primary key (id),
        unique (name, "row")
    );;

    alter table wellsample
        add constraint FKwellsample_plateAcquisition_plateacquisition
        foreign key (plateAcquisition)
        references plateacquisition  ;;

    create table namespace (
        keywords text[],
        series nonnegative_int
    );;
"""

DUMP_STYLE = """
-- a comment; with a semicolon and create table nothing (id int)
SET default_tablespace = '';
CREATE FUNCTION public.ome_perms(p bigint) RETURNS character varying
    LANGUAGE plpgsql
    AS $$
    BEGIN
        CREATE TABLE inside_a_function (id bigint);
    END; $$;
CREATE UNLOGGED TABLE public._current (
    "transaction" bigint,
    privilege character varying(255) DEFAULT 'a; create table b (c int);'::character varying,
    started timestamp without time zone NOT NULL,
    zoom double precision,
    size numeric(10,2),
    series public.nonnegative_int DEFAULT 0 NOT NULL,
    CONSTRAINT zoom_check CHECK ((zoom > (0)::double precision))
);
ALTER TABLE ONLY public._current ADD CONSTRAINT _current_pkey PRIMARY KEY (zoom);
/* create table commented (id int); */
alter table _current add column path text, add column repo varchar(36);
"""


def complete() -> dict[str, dict[str, str]]:
    return {name: dict(table.columns) for name, table in relied().items()}


def test_the_generated_schema_is_read_with_its_double_semicolons_and_folded_names():
    actual = parse(HIBERNATE_STYLE, source="schema.sql")
    assert actual == Actual(
        source="schema.sql",
        tables={
            "wellsample": {
                "id": "int8",
                "posxunit": "unitslength",
                "posx": "float8",
                "timepoint": "timestamp",
                "plateacquisition": "int8",
                "row": "int4",
                "file": "int8",
                "name": "varchar",
                "version": "int4",
            },
            "namespace": {"keywords": "text[]", "series": "nonnegative_int"},
        },
        functions=None,
    )


def test_a_dump_is_read_without_what_stands_in_comments_strings_and_functions():
    actual = parse(DUMP_STYLE, source="dump.sql")
    assert actual == Actual(
        source="dump.sql",
        tables={
            "_current": {
                "transaction": "bigint",
                "privilege": "character varying",
                "started": "timestamp without time zone",
                "zoom": "double precision",
                "size": "numeric",
                "series": "nonnegative_int",
                "path": "text",
                "repo": "varchar",
            }
        },
        functions=frozenset({"ome_perms"}),
    )


def test_what_reads_the_same_is_the_same():
    kinds = {
        "bigint": "int8",
        "varchar(255)": "text",
        "character varying(36)": "text",
        "timestamp without time zone": "timestamp",
    }
    kinds |= {"positive_float": "float8", "double precision": "float8", "boolean": "bool", "UnitsLength": "unitslength"}
    assert {kind: plain_type(kind) for kind in kinds} == kinds


def test_a_complete_schema_has_no_findings_and_more_does_no_harm():
    tables = {**complete(), "newer": {"id": "int8"}}
    tables["image"] = {**tables["image"], "newer": "text"}
    assert compare(Actual(source="x", tables=tables)) == []


def test_the_generated_file_is_not_blamed_for_what_omero_makes_after_it():
    tables = complete()
    del tables["_reindexing_required"]
    del tables["configuration"]
    assert compare(Actual(source="schema.sql", tables=tables, functions=None)) == []
    found = compare(Actual(source="database", tables=tables, functions=frozenset()))
    assert [finding.where for finding in found if finding.severity == "error"] == ["_reindexing_required", "configuration"]


def test_a_finding_says_what_is_missing_and_what_does_not_work():
    tables = complete()
    del tables["eventlog"]["action"]
    tables["event"]["time"] = "text"
    first, second = compare(Actual(source="x", tables=tables))
    assert first == Finding(
        severity="error", where="eventlog.action", problem="the column is missing", consequence="no change can be captured"
    )
    assert str(first) == "eventlog.action: the column is missing; no change can be captured"
    assert str(second) == "event.time: is text, expected timestamp; its values may be read wrongly or not at all"


@pytest.mark.parametrize("content", [b"", b"SELECT 1;", b"\xff\xfe\x00", b"-- create table image (id int8);;"])
def test_a_file_that_is_no_schema_is_refused_with_what_to_do(tmp_path, content):
    file = tmp_path / "schema.sql"
    file.write_bytes(content)
    with pytest.raises(Misconfigured) as refusal:
        read_file(file)
    assert str(file) in str(refusal.value)
    assert "pg_dump --schema-only" in refusal.value.fix


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Misconfigured, match=r"nowhere\.sql cannot be read"):
        read_file(tmp_path / "nowhere.sql")


def test_the_page_about_it_is_what_the_code_says():
    page = Path(__file__).parents[3] / "docs" / "reference" / "omero-schema.md"
    assert page.read_text("utf-8") == reference()


def test_an_object_whose_owner_cannot_be_read_is_an_error_everywhere():
    tables = complete()
    del tables["thumbnail"]["group_id"]
    del tables["thumbnail"]["owner_id"]
    del tables["screen"]["type"]
    assert [(finding.severity, finding.where) for finding in compare(Actual(source="x", tables=tables))] == [
        ("error", "thumbnail.group_id"),
        ("error", "thumbnail.owner_id"),
        ("warning", "screen.type"),
    ]
