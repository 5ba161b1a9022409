"""How services log: one event per line on standard error, for people on a terminal and as JSON otherwise, without secrets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from pipeline.errors import Misconfigured, OmeroMqError
from pipeline.settings.model import LogSettings

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_FORMATS = ("auto", "human", "json")
_HIDDEN = "***"

# session.uuid and node.uuid are log-in secrets of OMERO; the database's own uuid is in every event's source and may be seen.
_SECRET_KEY = re.compile(r"passw|secret|token|uuid|credential|authorization|api_?key", re.IGNORECASE)
_OPEN_KEYS = frozenset({"omero_uuid", "topic_uuid"})
_SECRET_IN_TEXT = re.compile(
    r"""(?i)(\b(?:password|passwd|secret|token)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&"']+)|(://[^\s:/@]+:)[^\s/@]+(?=@)"""
)


def configure(settings: LogSettings, service: str, *, stream: TextIO | None = None) -> None:
    """Make structlog and the standard ``logging`` write the same lines; call once, at the start of a process.

    Nothing goes to standard output, which belongs to the output of commands.

    Args:
        settings: format and least level.
        service: in every line.
        stream: standard error unless given.

    Raises:
        Misconfigured: log.format or log.level has a value that does not exist.
    """
    if settings.level not in _LEVELS or settings.format not in _FORMATS:
        raise Misconfigured(
            f"log.level {settings.level!r} or log.format {settings.format!r} does not exist",
            fix=f"set log.level to one of {', '.join(_LEVELS)} and log.format to one of {', '.join(_FORMATS)}",
        )
    target = stream or sys.stderr
    coloured = target.isatty()
    human = settings.format == "human" or (settings.format == "auto" and coloured)
    out = cast("TextIO", _Unfailing(target))
    level = _LEVELS[settings.level]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Named(service),
        _add_fix,
        structlog.processors.format_exc_info,
        redact,
    ]
    last: Processor = structlog.dev.ConsoleRenderer(colors=coloured) if human else structlog.processors.JSONRenderer(default=str)
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    # Libraries speak from warning on: their info is about themselves.
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING) if level > logging.DEBUG else level, force=True)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide the values of fields whose name says that they are secret, at any depth, and secrets written into texts."""
    return {key: _without_secrets(key, value) for key, value in event.items()}


def _without_secrets(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key) and key not in _OPEN_KEYS and value not in (None, ""):
        return _HIDDEN
    if isinstance(value, Mapping):
        return {inner: _without_secrets(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_without_secrets("", item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _hide_in_text(str(value))


def _hide_in_text(text: str) -> str:
    return _SECRET_IN_TEXT.sub(lambda found: (found[1] or found[3]) + _HIDDEN, text)


def _add_fix(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take ``fix`` from an error of ours that is logged, so that the line says what to do next."""
    info = event.get("exc_info")
    error = (
        info if isinstance(info, BaseException) else info[1] if isinstance(info, tuple) else sys.exc_info()[1] if info else None
    )
    if isinstance(error, OmeroMqError) and error.fix:
        event.setdefault("fix", error.fix)
    return event


def _add_logger_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event.setdefault("logger", record.name)
    return event


class _Unfailing:
    """A stream that drops what cannot be written: a full disk, or a reader that went away, must not end the service that logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


class _Named:
    """Adds the service to every line."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", self._service)
        return event
