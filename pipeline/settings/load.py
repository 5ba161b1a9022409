"""Settings from all the places that may say something, each value with where it came from.

A later place wins over an earlier one::

    default
    OMERO's own configuration      omero.db.host, .port, .name, .user (omero.config_file, or CONFIG_omero_db_* variables)
    the local stack's file         <stack.data_directory>/omero-mq.toml, written by `omero-mq up`
    omero-mq.toml                  the first of: --config, OMERO_MQ_CONFIG, ./omero-mq.toml, /etc/omero-mq/omero-mq.toml
    OMERO_MQ_<ROOM>_<FIELD>        or OMERO_MQ_<ROOM>_<FIELD>_FILE: the value is what that file holds; empty means not set
    --set room.field=value         not for secrets

The local stack's file counts when no omero-mq.toml was found, or when something in ``[stack]`` is set: then the two belong
together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import Misconfigured
from pipeline.settings import omero_config, toml, values
from pipeline.settings.model import Settings
from pipeline.settings.places import data_directory

PREFIX = "OMERO_MQ_"
TESTS_PREFIX = "OMERO_MQ_TEST_"  # read by the tests only
CONFIG_VARIABLE = "OMERO_MQ_CONFIG"
FILE_NAME = "omero-mq.toml"
SYSTEM_FILE = Path("/etc/omero-mq/omero-mq.toml")
FIX = "correct it; `omero-mq config check` lists all that is wrong, docs/reference/settings.md all settings"

Kind = Literal["default", "omero", "stack", "file", "environment", "command line"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What the caller was given to find settings with.

    Attributes:
        environ: environment variables.
        overrides: texts of ``--set``, ``room.field=value`` each.
        config: path of ``--config``, if given.
        directory: where ``./omero-mq.toml`` is looked for.
        system_file: the machine's file, looked for last.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    overrides: Sequence[str] = ()
    config: Path | None = None
    directory: Path = Path()
    system_file: Path = SYSTEM_FILE


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a value came from: what kind of place, and which one exactly."""

    kind: Kind
    where: str = ""

    def __str__(self) -> str:
        return self.where or self.kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Sourced:
    """Settings with the source of each value.

    Attributes:
        settings: the values; with complaints, those without complaint and defaults for the others.
        sources: by ``room.field``, and by ``room.field.name`` for entries of a table such as ``kafka.client``.
        file: the omero-mq.toml that was read, if any.
        complaints: everything that is wrong, a sentence each.
        cautions: what works but should be changed.
    """

    settings: Settings
    sources: Mapping[str, Source]
    file: Path | None
    complaints: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


def load(given: Given) -> Sourced:
    """All settings, checked.

    Raises:
        Misconfigured: something is unknown, misspelt, of the wrong type or out of range; names it and the nearest real one.
    """
    sourced = survey(given)
    if sourced.complaints:
        more = len(sourced.complaints) - 1
        rest = f" ({more} more: `omero-mq config check`)" if more else ""
        raise Misconfigured(sourced.complaints[0] + rest, fix=FIX)
    return sourced


def survey(given: Given) -> Sourced:
    """All settings and all complaints about them; raises only when a file that was named cannot be read at all."""
    found = _Found()
    path = _config_path(given)
    own = _read_file(path, "file") if path else _Found()
    late = _Found()
    _take_variables(late, given.environ)
    _take_overrides(late, given.overrides)
    _take_omero(found, given.environ, own.merged(late))
    stack_file = _stack_file(own.merged(late))
    belongs = path is None or any(name.startswith("stack.") for name in (*own.values, *late.values))
    if belongs and stack_file.is_file() and (path is None or not path.exists() or not stack_file.samefile(path)):
        found = found.merged(_read_file(stack_file, "stack"))
    return _sourced(found.merged(own).merged(late), path)


@dataclass(kw_only=True, slots=True)
class _Found:
    """Values of one or several places, while they are put on top of one another."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)

    def take(self, name: str, value: Any, source: Source) -> None:
        """Put one checked value on top; tables are joined name by name."""
        if isinstance(value, Mapping):
            self.values[name] = {**self.values.get(name, {}), **value}
            self.sources.update({f"{name}.{each}": source for each in value})
        else:
            self.values[name] = value
            self.sources[name] = source

    def take_text(self, name: str, text: str, source: Source) -> None:
        """Put one value on top that was written as text, or complain."""
        try:
            self.take(name, values.from_text(_FIELDS[name], text), source)
        except values.WrongValueError as wrong:
            self.complaints.append(f"{source}: {name} {wrong}")

    def merged(self, upper: _Found) -> _Found:
        """This with another on top; neither is changed."""
        result = _Found(
            values=dict(self.values),
            sources={**self.sources, **upper.sources},
            complaints=[*self.complaints, *upper.complaints],
            cautions=[*self.cautions, *upper.cautions],
        )
        for name, value in upper.values.items():
            result.values[name] = {**result.values.get(name, {}), **value} if isinstance(value, Mapping) else value
        return result


_FIELDS: Mapping[str, Field[Any]] = dict(values.all_fields())
_VARIABLES: Mapping[str, str] = {PREFIX + name.replace(".", "_").upper(): name for name in _FIELDS}


def variable_of(name: str) -> str:
    """The environment variable of a setting: ``OMERO_MQ_KAFKA_BOOTSTRAP``."""
    return PREFIX + name.replace(".", "_").upper()


def _config_path(given: Given) -> Path | None:
    if given.config is not None:
        named, by = given.config, "--config"
    elif given.environ.get(CONFIG_VARIABLE):
        named, by = Path(given.environ[CONFIG_VARIABLE]), CONFIG_VARIABLE
    else:
        candidates = (given.directory / FILE_NAME, given.system_file)
        return next((each for each in candidates if each.is_file()), None)
    if not named.is_file():
        raise Misconfigured(f"{by} names {named}, which is not a file", fix=f"correct the path, or leave {by} out")
    return named


def _stack_file(found: _Found) -> Path:
    return data_directory(found.values.get("stack.data_directory", "")) / FILE_NAME


def _read_file(path: Path, kind: Kind) -> _Found:
    tables, lines = toml.read(path)
    found = _Found()
    for room, table in tables.items():
        at = _at(path, lines.get(room))
        if room not in _ROOMS:
            near = values.nearest(room, _ROOMS) or values.nearest(f"{room}.", _FIELDS)
            found.complaints.append(f"{at}: unknown room [{room}]{near}")
        elif not isinstance(table, Mapping):
            found.complaints.append(f"{at}: {room} is a room; write [{room}] and its settings below")
        else:
            for name, value in table.items():
                _take_from_file(found, f"{room}.{name}", value, kind=kind, path=path, lines=lines)
    if any(values.is_secret(name, each) for name, each in _secrets(found)) and path.stat().st_mode & 0o044:
        found.cautions.append(f"{path} holds a secret and other users may read it; chmod 600 {path}")
    return found


def _secrets(found: _Found) -> list[tuple[str, Field[Any]]]:
    """Names of values that stand in the file itself, not in a file that it names."""
    return [
        (name, _FIELDS[name if name in _FIELDS else ".".join(name.split(".")[:2])])
        for name, source in found.sources.items()
        if " -> " not in source.where
    ]


def _take_from_file(found: _Found, name: str, value: Any, *, kind: Kind, path: Path, lines: Mapping[str, int]) -> None:
    source = Source(kind=kind, where=_at(path, lines.get(name)))
    known = _FIELDS.get(name)
    secret = _FIELDS.get(name.removesuffix("_file"))
    if known is None and secret is not None and secret.metadata["secret"] and isinstance(value, str):
        _take_secret(found, name.removesuffix("_file"), path.parent / value, source)
    elif known is None:
        found.complaints.append(f"{source}: unknown setting {name}{values.nearest(name, _FIELDS)}")
    else:
        try:
            if values.is_table(known):
                if not isinstance(value, Mapping):
                    raise values.WrongValueError(f"{values.shown(value)} is not {values.expected(known)}")  # noqa: TRY301
                for entry, text in values.flat(value):
                    line = lines.get(f"{name}.{entry}") or lines.get(name)
                    found.take(name, {entry: text}, Source(kind=source.kind, where=_at(path, line)))
            else:
                found.take(name, values.checked(known, value), source)
        except values.WrongValueError as wrong:
            found.complaints.append(f"{source}: {name} {wrong}")


def _take_secret(found: _Found, name: str, path: Path, source: Source) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found.complaints.append(f"{source}: {name} cannot be read from {path}: {error}")
        return
    text = text if values.is_table(_FIELDS[name]) else text.rstrip("\r\n")
    found.take_text(name, text, Source(kind=source.kind, where=f"{source} -> {path}"))


def _take_variables(found: _Found, environ: Mapping[str, str]) -> None:
    for variable in sorted(environ):
        ours = variable.startswith(PREFIX) and not variable.startswith(TESTS_PREFIX) and variable != CONFIG_VARIABLE
        if not ours or not environ[variable]:
            continue
        source = Source(kind="environment", where=variable)
        by_file = variable.removesuffix("_FILE")
        if variable in _VARIABLES:
            found.take_text(_VARIABLES[variable], environ[variable], source)
        elif variable.endswith("_FILE") and by_file in _VARIABLES:
            if environ.get(by_file):
                found.complaints.append(f"{variable} and {by_file} are both set; keep one")
            _take_secret(found, _VARIABLES[by_file], Path(environ[variable]), source)
        else:
            found.complaints.append(f"unknown variable {variable}{values.nearest(variable, [*_VARIABLES, CONFIG_VARIABLE])}")


def _take_overrides(found: _Found, overrides: Sequence[str]) -> None:
    for text in overrides:
        name, equals, value = text.partition("=")
        full = ".".join(name.split(".")[:2])
        known = _FIELDS.get(full)
        source = Source(kind="command line", where=f"--set {name}")
        entry = name.removeprefix(full).lstrip(".")
        if not equals:
            found.complaints.append(f"--set {values.shown(text)} is not room.field=value")
        elif known is None or bool(entry) != values.is_table(known):
            example = " (its entries are set as kafka.client.NAME=VALUE)" if known is not None and values.is_table(known) else ""
            found.complaints.append(f"--set: unknown setting {name}{example or values.nearest(name, _FIELDS)}")
        elif values.is_secret(name, known):
            found.complaints.append(
                f"--set {name}: a secret on a command line is seen by every user of the machine; use {variable_of(full)}_FILE"
            )
        elif entry:
            found.take(full, {entry: value}, source)
        else:
            found.take_text(full, value, source)


def _take_omero(found: _Found, environ: Mapping[str, str], others: _Found) -> None:
    path = others.values.get("omero.config_file")
    if path:
        for name, text in omero_config.from_file(Path(path).expanduser()).items():
            found.take_text(name, text, Source(kind="omero", where=str(path)))
    for name, (text, variable) in omero_config.from_variables(environ).items():
        found.take_text(name, text, Source(kind="omero", where=variable))


def _sourced(found: _Found, path: Path | None) -> Sourced:
    rooms = {}
    for room in fields(Settings):
        own = {name.split(".", 1)[1]: value for name, value in found.values.items() if name.startswith(f"{room.name}.")}
        factory: Any = room.default_factory
        rooms[room.name] = factory(**own)
    settings = Settings(**rooms)
    complaints = [*found.complaints, *_contradictions(settings)]
    return Sourced(
        settings=settings,
        sources={**dict.fromkeys(_FIELDS, Source(kind="default")), **found.sources},
        file=path,
        complaints=tuple(complaints),
        cautions=tuple(found.cautions),
    )


def _contradictions(settings: Settings) -> list[str]:
    copies, needed = settings.kafka.replication_factor, settings.kafka.min_insync_replicas
    if needed > copies:
        return [f"kafka.min_insync_replicas {needed} is more than kafka.replication_factor {copies}: nothing could be written"]
    return []


def _at(path: Path, line: int | None) -> str:
    return f"{path} line {line}" if line else str(path)


_ROOMS: tuple[str, ...] = tuple(room.name for room in fields(Settings))
