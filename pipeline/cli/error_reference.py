"""The page of errors: every message that the sources raise, with what to do about it, read from the sources themselves."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.cli.letters import ADVICE

SOURCES: Final = Path(__file__).parents[1]
OPEN, CLOSE = "\u2039", "\u203a"  # single angle quotes, which Markdown leaves alone

MEANINGS: Final = {
    "Misconfigured": "A person must change a setting, a grant, a version or a file. A command ends with status 1. So does a"
    " service, with nothing acknowledged; its supervisor starts it again and again, so it goes on by itself once that is done.",
    "DependencyDown": "Something that is needed is away. A service waits for it in place: that spends no attempt, writes no"
    " letter and acknowledges nothing. A command ends with status 1 and says where it looked.",
    "Undecodable": "A record is not what its topic carries. It becomes a letter at once, its bytes untouched; the next"
    " record goes on.",
    "RecordTooLarge": "A record is larger than its topic takes. What was read becomes a letter of class `oversize`.",
    "Permanent": "This record can never succeed. It becomes a letter at once (class `poison`), and the next record goes on.",
    "Transient": "This attempt failed; the next one may not. Tried again in place, and after `delivery.attempts` a letter.",
    "EpochChanged": "The OMERO database is not the one that was read before. The service stops, with nothing acknowledged, until"
    " somebody says which one is meant.",
    "OffsetGap": "Records that were not read yet are gone from a topic. The service stops rather than pass over them.",
    "Halt": "Going on would lose or falsify something. The service stops, and nothing is acknowledged.",
    "StartFailed": "A process did not start, or did not become ready.",
}
Constants = Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Message:
    """One error as the sources raise it; what differs from case to case has a name in angle brackets."""

    text: str
    kind: str
    fix: str


def errors_page() -> str:
    """Errors by what happens next, each with what to do; then letters by class."""
    found = messages()
    lines = [
        "# Errors\n",
        "An error says what is wrong and where, and below it, after `fix:`, what to do next. What differs from case to case has",
        "a name in angle brackets here. `omero-mq COMMAND -v` adds the traceback; services write the same to their logs.\n",
    ]
    for kind, meaning in MEANINGS.items():
        rows = sorted(each for each in found if each.kind == kind)
        if rows:
            lines += [f"## {kind}\n", f"{meaning}\n", "| error | what to do |", "|---|---|"]
            lines += [f"| {_cell(each.text)} | {_cell(each.fix) or '-'} |" for each in rows]
            lines.append("")
    lines += ["## Letters\n", "What failed for good, by class (`omero-mq dlq list`, `omero-mq dlq show`):\n"]
    lines += ["| class | what to do |", "|---|---|", *(f"| `{name}` | {_cell(advice)} |" for name, advice in ADVICE.items())]
    lines += [
        "",
        "A record that cannot be decoded is told field by field: `no eventlog-row: $.entityid: expected a whole number of 0 to",
        "9223372036854775807, got -1`; [messages.md](messages.md) has what each topic carries.\n",
    ]
    return "\n".join(lines)


def messages(sources: Path = SOURCES) -> set[Message]:
    """All errors of ours with a message of their own."""
    paths = [path for path in sorted(sources.rglob("*.py")) if path.name != "memory.py"]  # that one plays Kafka in tests
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    everywhere = dict(constant for tree in trees for constant in _constants(tree))
    return {found for tree in trees for found in _raised(tree, {**everywhere, **dict(_constants(tree))})}


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Texts that have a name in a module."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))) if name.lstrip("_").isupper():
                yield name, text


def _raised(tree: ast.AST, constants: Constants) -> Iterator[Message]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MEANINGS):
            continue
        fixes = [keyword.value for keyword in node.keywords if keyword.arg == "fix"]
        text = ": ".join(_words(argument, constants) for argument in node.args)
        if re.sub(f"{OPEN}[^{CLOSE}]*{CLOSE}", "", text).strip(": "):
            yield Message(text=text, kind=node.func.id, fix=_words(fixes[0], constants) if fixes else "")


def _words(node: ast.expr, constants: Constants) -> str:
    """A text as it is written; what is worked out by the last of its names."""
    text = f"{OPEN}...{CLOSE}"
    match node:
        case ast.Constant(value=str(written)):
            text = written
        case ast.JoinedStr(values=parts):
            text = "".join(_words(part, constants) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            text = _words(left, constants) + _words(right, constants)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            text = constants.get(name) or f"{OPEN}{name.strip('_').lower().replace('_', ' ')}{CLOSE}"
        case ast.Call(func=ast.Attribute(attr="join"), args=[inner]) | ast.Call(func=ast.Name(), args=[inner, *_]):
            text = _words(inner, constants)
        case ast.FormattedValue(value=inner) | ast.Subscript(value=inner) | ast.Call(func=ast.Attribute(value=inner)):
            text = _words(inner, constants)
        case ast.BinOp(left=left):
            text = _words(left, constants)
    return text


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
