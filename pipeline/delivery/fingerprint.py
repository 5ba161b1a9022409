"""Which failures have one cause: what an error says, without what differs from message to message; and without secrets."""

from __future__ import annotations

import hashlib
import re
import traceback
from typing import Final

MESSAGE_CHARS: Final = 256
MOST_CHARS: Final = 4000  # of what an exception says; patterns must not run over megabytes

_SECRET: Final = re.compile(
    r"(?i)\b(pass(?:word|wd|phrase)?|secret|token|api[-_]?key|authorization|session[-_]?(?:uuid|key|id))"
    r"(\s*[\"']?\s*[=:]\s*[\"']?)(?:bearer\s+|basic\s+)?[^\s\"',;&)]+"
)
_CREDENTIALS: Final = re.compile(r"(://[^\s/:@]{1,200}:)[^\s/@]{1,500}@")
_VARYING: Final = (
    (re.compile(r"\"[^\"]{0,500}\"|'[^']{0,500}'|`[^`]{0,500}`|«[^»]{0,500}»"), "<quoted>"),
    (re.compile(r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{0,20}://\S+"), "<url>"),
    (re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.@%+~-]+){2,}[\\/]?|~?/[\w.@%+~-]+"), "<path>"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b"), "<host>"),
    (re.compile(r"\b(?:[a-zA-Z0-9-]+\.)+[a-zA-Z]{2,}(?::\d+)\b"), "<host>"),
    (
        re.compile(r"\b[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*\.(?:com|org|net|edu|gov|io|local|internal|localdomain|[a-z]{2})\b"),
        "<host>",
    ),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b|\b0x[0-9a-fA-F]+\b"), "<hex>"),
    (re.compile(r"[-+]?\d+(?:[.,:]\d+)*(?:[eE][-+]?\d+)?"), "<n>"),
    (re.compile(r"(?:<n>(?:[,;/x ] ?)?)+"), "<n> "),
)


def without_secrets(text: str) -> str:
    """The text with what looks like a password or token starred out; letters outlive the people who may read them."""
    return _CREDENTIALS.sub(r"\1***@", _SECRET.sub(r"\1\2***", text))


def one_line(exc: BaseException) -> str:
    """What an exception says, on one line of at most `MESSAGE_CHARS` characters, printable everywhere."""
    text = " ".join(without_secrets(_said(exc)).split())
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= MESSAGE_CHARS else text[: MESSAGE_CHARS - 1] + "…"


def type_name(exc: BaseException) -> str:
    """The exception's type, with its module unless that is Python's own."""
    kind = type(exc)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def fingerprint(consumer: str, letter_class: str, exc: BaseException) -> str:
    """16 hex digits that failures of one cause share."""
    text = " ".join(_said(exc).split())
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    cause = "\x1f".join((consumer, letter_class, type_name(exc), " ".join(text.split())))
    return hashlib.sha256(cause.encode(errors="replace")).hexdigest()[:16]


def stack(exc: BaseException) -> str:
    """The stack trace as Python writes it, causes included, secrets left out."""
    # compact: a recursion error's 1,000 equal frames are one line.
    text = "".join(traceback.TracebackException.from_exception(exc, max_group_depth=5, compact=True).format(chain=True))
    return without_secrets(text.encode(errors="replace").decode())


def shortened(text: str, limit_bytes: int) -> str:
    """Head and tail of a text within so many bytes of UTF-8, with a note of what was left out between them."""
    raw = text.encode(errors="replace")
    if len(raw) <= limit_bytes:
        return raw.decode()
    note = f"\n... {len(raw)} bytes in all ...\n".encode()
    room = limit_bytes - len(note)
    if room < len(note):
        return raw[:limit_bytes].decode(errors="ignore")
    # The tail says what was raised and where; the head, which way the message came.
    head, tail = raw[: room // 3], raw[len(raw) - (room - room // 3) :]
    return head.decode(errors="ignore") + note.decode() + tail.decode(errors="ignore")


def _said(exc: BaseException) -> str:
    try:
        text = str(exc)
    except Exception as broken:  # noqa: BLE001  a foreign exception may fail at describing itself
        text = f"({type_name(broken)} while asking {type_name(exc)} what it says)"
    return text[:MOST_CHARS]
