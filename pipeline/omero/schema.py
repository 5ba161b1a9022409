"""What is relied on in OMERO's database, as a table, and how a database or a schema file differs from it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import Misconfigured
from pipeline.omero.entities import OWNED_TABLES
from pipeline.omero.statements import Connection

Severity = Literal["error", "warning"]
_OWNER_COLUMNS = ("id", "owner_id", "group_id")
_OWNER = "id int8, owner_id int8, group_id int8"
_OWNER_UNREADABLE = "the relay cannot read whose such an object is, and stops at the first event about one"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table and what is read of it.

    Attributes:
        columns: type by name, as PostgreSQL's short names: ``int8``, ``text`` (for any string type), ``timestamp``.
        without: what does not work without the table or one of the columns.
        severity: ``error`` where events stop or become wrong, ``warning`` where something is only missing from what users see.
        generated: whether it is in the `schema.sql` that comes with OMERO; the rest is made by what OMERO runs after that file.
    """

    name: str
    columns: Mapping[str, str]
    without: str
    severity: Severity = "error"
    generated: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A function, by name, and what does not work without it."""

    name: str
    without: str
    severity: Severity = "warning"


@dataclass(frozen=True, kw_only=True, slots=True)
class Actual:
    """What a database or a file has.

    Attributes:
        source: what was read, as people call it.
        tables: by name, the columns' types by name; types as PostgreSQL or the file writes them.
        functions: names; None where the source tells of none, as OMERO's own `schema.sql`.
    """

    source: str
    tables: Mapping[str, Mapping[str, str]]
    functions: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One difference.

    Attributes:
        where: ``table``, ``table.column`` or ``function()``.
        problem: what is missing or different.
        consequence: what does not work because of it.
    """

    severity: Severity
    where: str
    problem: str
    consequence: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}; {self.consequence}"


def _columns(text: str) -> dict[str, str]:
    words = text.replace(",", " ").split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _needed(name: str, columns: str, without: str, *, generated: bool = True) -> Table:
    return Table(name=name, columns=_columns(columns), without=without, generated=generated)


def _shown(name: str, columns: str) -> Table:
    return Table(
        name=name,
        columns=_columns(f"{_OWNER}, {columns}"),
        without=f"documents and messages about objects of {name} lack it",
        severity="warning",
    )


RELIED: tuple[Table, ...] = (
    _needed(
        "eventlog",
        "id int8, action text, permissions int8, entityid int8, entitytype text, event int8",
        "no change can be captured",
    ),
    _needed(
        "event",
        "id int8, time timestamp, status text, experimenter int8, experimentergroup int8, session int8, type int8",
        "events cannot say who did it, or when",
    ),
    _needed("eventtype", "id int8, value text", "events cannot say in which kind of call it was done"),
    _needed("session", "id int8, owner int8, sudoer int8, closed timestamp", "who really sat there under sudo stays unknown"),
    _needed("experimenter", "id int8, omename text, firstname text, lastname text", "people cannot be named"),
    _needed("experimentergroup", "id int8, name text, permissions int8", "nobody's right to see something can be decided"),
    _needed(
        "groupexperimentermap",
        "id int8, parent int8, child int8, owner bool, child_index int4",
        "nobody's right to see something can be decided",
    ),
    _needed("experimenter_config", "experimenter_id int8, name text, value text", "limited administrators look like full ones"),
    _needed("dbpatch", "id int8, currentversion text, currentpatch int4", "the version of OMERO's database stays unknown"),
    _needed("configuration", "name text, value text", "the database has no uuid, so events have no source", generated=False),
    _needed(
        "_reindexing_required",
        "event_id int8, entity_type text, entity_id int8",
        "edits of tags and other annotations do not reach what they hang on",
        generated=False,
    ),
    _shown("image", "name text, description text, acquisitiondate timestamp, series int4, fileset int8, format int8"),
    _shown(
        "pixels",
        "image int8, image_index int4, sizex int4, sizey int4, sizez int4, sizec int4, sizet int4, pixelstype int8,"
        " dimensionorder int8, physicalsizex float8, physicalsizexunit unitslength, sha1 text",
    ),
    _shown("channel", "pixels int8, pixels_index int4, logicalchannel int8, statsinfo int8"),
    _shown("logicalchannel", "name text, fluor text, emissionwave float8, photometricinterpretation int8, mode int8"),
    _shown("dataset", "name text, description text"),
    _shown("project", "name text, description text"),
    _shown("folder", "name text, description text, parentfolder int8"),
    _shown("screen", "name text, description text, protocolidentifier text, reagentsetidentifier text, type text"),
    _shown("plate", "name text, description text, externalidentifier text, status text, columns int4, rows int4"),
    _shown("plateacquisition", "name text, description text, plate int8, starttime timestamp, endtime timestamp"),
    _shown(
        "well", "plate int8, column int4, row int4, externaldescription text, externalidentifier text, status text, type text"
    ),
    _shown("wellsample", "well int8, well_index int4, image int8, plateacquisition int8"),
    _shown("roi", "image int8, name text, description text"),
    _shown("shape", "roi int8, textvalue text"),
    _shown("fileset", "templateprefix text"),
    _shown("filesetentry", "fileset int8, fileset_index int4, originalfile int8, clientpath text"),
    _shown("originalfile", "name text, path text, repo text, size int8, hash text, hasher int8, mimetype text"),
    _shown("job", "status int8, message text, username text, submitted timestamp, started timestamp, finished timestamp"),
    _shown(
        "annotation",
        "discriminator text, ns text, name text, description text, textvalue text, termvalue text, boolvalue bool,"
        " longvalue int8, doublevalue float8, timevalue timestamp, file int8",
    ),
    Table(
        name="annotation_mapvalue",
        columns=_columns("annotation_id int8, name text, value text, index int4"),
        without="key-value pairs cannot be read",
        severity="warning",
    ),
    Table(name="jobstatus", columns=_columns("id int8, value text"), without="jobs have no state", severity="warning"),
)

FUNCTIONS: tuple[Function, ...] = (
    Function(name="updated_entities_note_reindex", without="_reindexing_required grows for ever once OMERO's indexer is off"),
    Function(name="_current_or_new_event", without="changes by raw SQL may be noted otherwise than expected"),
    Function(name="annotation_update_event_trigger", without="edits of annotations are not noted for what they hang on"),
    Function(name="ome_perms", without="permissions cannot be shown in psql as people write them"),
)


def relied() -> dict[str, Table]:
    """Everything that is relied on, by table: what is named above, links' two sides, and every other table with owners."""
    tables = {table.name: table for table in RELIED}
    for name in sorted(OWNED_TABLES - tables.keys()):
        sides = ", parent int8, child int8" if name.endswith("link") else ""
        tables[name] = Table(
            name=name,
            columns=_columns(_OWNER + sides),
            without=f"events about objects of {name} say neither whose they are nor who may see them",
            severity="error" if name.endswith("annotationlink") else "warning",
        )
    return tables


def compare(actual: Actual) -> list[Finding]:
    """Name everything that is missing or different, errors first. Additional tables and columns are nobody's business."""
    findings = [finding for table in relied().values() for finding in _compare_table(table, actual)]
    findings += [
        Finding(severity=function.severity, where=f"{function.name}()", problem="missing", consequence=function.without)
        for function in FUNCTIONS
        if actual.functions is not None and function.name not in actual.functions
    ]
    return sorted(findings, key=lambda finding: (finding.severity != "error", finding.where))


def _compare_table(table: Table, actual: Actual) -> Iterator[Finding]:
    found = actual.tables.get(table.name)
    if found is None:
        if table.generated or actual.functions is not None:
            yield Finding(severity=table.severity, where=table.name, problem="the table is missing", consequence=table.without)
        return
    for name, kind in table.columns.items():
        where = f"{table.name}.{name}"
        if name not in found and name in _OWNER_COLUMNS and table.name in OWNED_TABLES:
            yield Finding(severity="error", where=where, problem="the column is missing", consequence=_OWNER_UNREADABLE)
        elif name not in found:
            yield Finding(severity=table.severity, where=where, problem="the column is missing", consequence=table.without)
        elif plain_type(found[name]) != kind:
            yield Finding(
                severity="warning",
                where=where,
                problem=f"is {found[name]}, expected {kind}",
                consequence="its values may be read wrongly or not at all",
            )


def read_database(connection: Connection) -> Actual:
    """What a live database has in the schema `public`; needs no right but to connect."""
    tables: dict[str, dict[str, str]] = {}
    columns = connection.execute(
        "SELECT c.relname::text, a.attname::text, format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL)"
        " FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped"
    )
    for table, column, kind in columns:
        tables.setdefault(table, {})[column] = kind
    functions = connection.execute("SELECT DISTINCT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    return Actual(source=f"database {connection.info.dbname}", tables=tables, functions=frozenset(name for (name,) in functions))


def read_file(path: Path) -> Actual:
    """What a file of SQL declares: OMERO's `schema.sql`, or what `pg_dump --schema-only` writes.

    Raises:
        Misconfigured: the file cannot be read, or declares no table.
    """
    fix = "name OMERO's schema.sql, or what `pg_dump --schema-only` wrote in plain format"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read as text: {error}", fix=fix) from error
    actual = parse(text, source=str(path))
    if not actual.tables:
        raise Misconfigured(f"{path} declares no table", fix=fix)
    return actual


_NOISE = re.compile(
    r"--[^\n]*|/\*.*?\*/|(?P<tag>\$\w*\$).*?(?P=tag)|'(?:[^']|'')*'", re.DOTALL
)  # comments and strings, function bodies among them
_NAME = r'(?:"?\w+"?\.)?"?(\w+)"?'
_CREATE_TABLE = re.compile(
    rf"create\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?{_NAME}\s*\((.*)\)", re.IGNORECASE | re.DOTALL
)
_ALTER_TABLE = re.compile(rf"alter\s+table\s+(?:only\s+)?{_NAME}\s+(.*)", re.IGNORECASE | re.DOTALL)
_ADD_COLUMN = re.compile(r"add\s+column\s+(.*)", re.IGNORECASE | re.DOTALL)
_FUNCTION = re.compile(rf"create\s+(?:or\s+replace\s+)?function\s+{_NAME}\s*\(", re.IGNORECASE)
_COLUMN = re.compile(r'("?)(\w+)\1\s+"?(?:pg_catalog\.|public\.)?("?[a-z_]\w*"?)(.*)', re.IGNORECASE | re.DOTALL)
_NO_COLUMN = {"constraint", "primary", "unique", "foreign", "check", "exclude", "like"}


def parse(text: str, *, source: str) -> Actual:
    """Read `CREATE TABLE`, `ALTER TABLE ... ADD COLUMN` and `CREATE FUNCTION`; whatever else is there is passed over.

    Statements end with one semicolon or two.
    """
    plain = _NOISE.sub(" ", text)
    tables: dict[str, dict[str, str]] = {}
    for statement in plain.split(";"):
        created = _CREATE_TABLE.search(statement)
        if created:
            name, body = created.groups()
            tables.setdefault(name.lower(), {}).update(dict(_declared(body)))
            continue
        altered = _ALTER_TABLE.search(statement)
        if altered:
            name, body = altered.groups()
            for clause in _split(body):
                added = _ADD_COLUMN.match(clause)
                if added:
                    tables.setdefault(name.lower(), {}).update(dict(_declared(added.group(1))))
    functions = frozenset(name.lower() for name in _FUNCTION.findall(plain))
    return Actual(source=source, tables=tables, functions=functions or None)


def _declared(body: str) -> Iterator[tuple[str, str]]:
    for clause in _split(body):
        found = _COLUMN.match(clause)
        if found is None or (not found.group(1) and found.group(2).lower() in _NO_COLUMN):
            continue
        quote, name, kind, rest = found.groups()
        words = " ".join([kind.strip('"').lower(), *rest.lower().split()])
        long = next((known for known in _LONG_NAMES if words.startswith(known)), None)
        array = "[]" if re.match(r"\s*\[", rest) else ""
        yield (name if quote else name.lower()), (long or words.split()[0].split("(")[0]) + array


def _split(body: str) -> Iterator[str]:
    """Clauses between commas that stand outside parentheses."""
    depth = start = 0
    for position, character in enumerate(body):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            yield body[start:position].strip()
            start = position + 1
    yield body[start:].strip()


_LONG_NAMES = ("timestamp without time zone", "timestamp with time zone", "double precision", "character varying")
_PLAIN_TYPES = {
    "bigint": "int8",
    "integer": "int4",
    "int": "int4",
    "boolean": "bool",
    "double precision": "float8",
    "float": "float8",
    "timestamp without time zone": "timestamp",
    "character varying": "text",
    "varchar": "text",
    "character": "text",
    "nonnegative_int": "int4",
    "positive_int": "int4",
    "nonnegative_float": "float8",
    "positive_float": "float8",
    "percent_fraction": "float8",
}  # fmt: skip


def plain_type(kind: str) -> str:
    """One short name for what is the same to a reader: any string type is ``text``, a domain is what it is made of."""
    bare = re.sub(r"\s*\([^)]*\)", "", kind.lower()).strip()
    return _PLAIN_TYPES.get(bare, bare)


def reference() -> str:
    """The page `docs/reference/omero-schema.md`."""
    lines = [*_PAGE_HEAD, "| table | columns | without it | severity |", "| --- | --- | --- | --- |"]
    short = [table for table in relied().values() if table.name in {named.name for named in RELIED}]
    for table in short:
        columns = ", ".join(f"`{name}` {kind}" for name, kind in table.columns.items())
        lines.append(f"| `{table.name}` | {columns} | {table.without} | {table.severity} |")
    lines += ["", "## Functions", "", "| function | without it | severity |", "| --- | --- | --- |"]
    lines += [f"| `{function.name}()` | {function.without} | {function.severity} |" for function in FUNCTIONS]
    others = [table for table in relied().values() if table not in short]
    links = [table.name for table in others if "parent" in table.columns]
    rest = [table.name for table in others if "parent" not in table.columns]
    lines += ["", "## Owner and group only", "", f"Of these, `{_OWNER}` are read: {', '.join(f'`{name}`' for name in rest)}."]
    lines += ["", f"Of these links, `parent` and `child` as well: {', '.join(f'`{name}`' for name in links)}.", ""]
    return "\n".join(lines)


_PAGE_HEAD = (
    "# What is relied on in OMERO's database",
    "",
    "<!-- Made by `python -m pipeline.omero.schema`; change the tables there instead. -->",
    "",
    "Tables, columns, types and functions of OMERO's database (version OMERO5.4__0) that are read, today or by what is",
    "being built. `omero-mq doctor --schema` holds a living database against this list, `omero-mq doctor --schema FILE` a",
    "file: OMERO's own `schema.sql`, or what `pg_dump --schema-only` writes. Each difference is named with what does not",
    "work because of it. Tables and columns beyond these are nobody's business. `text` stands for any string type, and a",
    "domain such as `positive_int` for what it is made of. OMERO's `schema.sql` is only the first part of the database:",
    "what OMERO makes after it (functions, `configuration`, `_reindexing_required`) is not missed there.",
    "",
    "An *error* stops events or makes them wrong; a *warning* says that something is missing from what users see. A table",
    "that has no `owner_id` or `group_id` although objects of its kind have an owner is always an error.",
    "",
    "## Tables",
    "",
)

if __name__ == "__main__":
    sys.stdout.write(reference())
