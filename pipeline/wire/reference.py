"""Makes docs/reference/topics.md and messages.md from the tables and schemas (``python -m pipeline.wire.reference --write``)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import shipped
from pipeline.wire.consumers import CONSUMERS, ConsumerSpec
from pipeline.wire.messages import MESSAGES
from pipeline.wire.schemas import Schema, shipped_schemas
from pipeline.wire.topics import DAY_MS, DEFAULT_PREFIX, TOPICS, Topic

_MADE = "<!-- Made by `python -m pipeline.wire.reference --write`; change the tables or the schemas instead. -->"
_TOPICS_INTRODUCTION = (
    f"Every topic is made by `omero-mq topic create`, never by itself. The first word, `{DEFAULT_PREFIX}`, is the setting "
    "`kafka.prefix`. A name with `<...>` is a family: one topic for each queue, consumer or connector. *Planned* topics are "
    "named here so that nothing else takes the name; they are not made yet."
)
_MESSAGES_INTRODUCTION = (
    "The contract of each message is its Avro schema in `schemas/`; `schemas/released/` keeps every version that was ever "
    "released, and `schemas/examples/` has more examples than stand here. JSON is checked against the same schema: a field that "
    "is optional or has a default may be left out, a field that the schema does not name is passed over, no text may hold NUL or "
    "a lone surrogate. Avro is written in single-object encoding: the bytes `c3 01`, the schema's fingerprint (CRC-64-AVRO, "
    "little endian), the body. `omero-mq topic cat` reads both."
)
_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} character",
    "maxLength": "at most {} characters",
    "const": "`{}`",
}


def main(arguments: Sequence[str], root: Path | None = None) -> int:
    """Write the pages, or say whether they are as they should be; the exit status is 1 if not, 2 for wrong usage."""
    root = root or shipped.directory("schemas").parent
    wanted = pages()
    if arguments == ["--write"]:
        for path, text in wanted.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        return 0
    if arguments != ["--check"]:
        sys.stderr.write("usage: python -m pipeline.wire.reference --check | --write\n")
        return 2
    stale = [path for path, text in wanted.items() if _read(root / path) != text]
    for path in stale:
        sys.stderr.write(f"{path} is not what the code says; run: python -m pipeline.wire.reference --write\n")
    return 1 if stale else 0


def pages() -> dict[str, str]:
    """Each page's path in the repository, and its text."""
    return {
        "docs/reference/topics.md": topics_page().rstrip() + "\n",
        "docs/reference/messages.md": messages_page().rstrip() + "\n",
    }


def topics_page() -> str:
    """All topics and all consumers."""
    return "\n".join(
        [
            "# Topics and consumers",
            "",
            _MADE,
            "",
            _TOPICS_INTRODUCTION,
            "",
            *_table(
                ["topic", "key", "value", "message", "partitions", "keeps", "largest batch", "written by", "read by"],
                [_topic_row(topic) for topic in TOPICS],
            ),
            "",
            "A replication factor and a minimum of in-sync replicas are settings (`kafka.replication_factor`,",
            "`kafka.min_insync_replicas`). Letters are kept at least as long as the topic they come from, and may be larger.",
            "",
            "## Consumers",
            "",
            *(line for spec in CONSUMERS for line in _consumer_lines(spec)),
        ]
    )


def messages_page() -> str:
    """All messages, field by field, with an example each."""
    schemas = shipped_schemas()
    return "\n".join(
        [
            "# Messages",
            "",
            _MADE,
            "",
            _MESSAGES_INTRODUCTION,
            "",
            *(line for message in MESSAGES for line in _message_lines(schemas.current[message.schema])),
        ]
    )


def _topic_row(topic: Topic) -> list[str]:
    link = f"[{topic.schema}](messages.md#{topic.schema})" if topic.schema and not topic.planned else topic.schema
    return [
        f"`{topic.name}`" + (" (planned)" if topic.planned else ""),
        f"`{topic.key}`" if any(mark in topic.key for mark in "{:") else topic.key,
        topic.format,
        link,
        str(topic.partitions),
        "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms // DAY_MS} d",
        f"{topic.max_message_bytes / 2**20:.0f} MiB",
        topic.written_by,
        topic.read_by,
    ]


def _consumer_lines(spec: ConsumerSpec) -> list[str]:
    reads = ", ".join(f"`{topic.name}`" for topic in spec.sources) or "a table of the state database"
    group = f", as group `{DEFAULT_PREFIX}.{spec.group}`" if spec.group else ""
    letters = f"`{DEFAULT_PREFIX}.dlq.{spec.name}`" if spec.letters else "none"
    return [
        f"### {spec.name}",
        "",
        *([] if spec.runs else ["Not run by an installation.", ""]),
        f"- Reads: {reads}{group}",
        f"- Effect: {spec.effect}",
        f"- Guarantee: **{spec.guarantee}**; {spec.how}",
        f"- Order: {spec.order}",
        f"- Letters: {letters}",
        f"- Shown by: `{spec.test}`",
        "",
    ]


def _message_lines(schema: Schema) -> list[str]:
    carried = ", ".join(f"`{topic.name}`" for topic in TOPICS if topic.schema == schema.name)
    example = shipped.directory("schemas") / "examples" / schema.name / f"{schema.declared['example']}.json"
    return [
        f"## {schema.name}",
        "",
        str(schema.declared["doc"]),
        "",
        f"On {carried}. Fingerprint `{schema.fingerprint.hex()}`.",
        "",
        *_table(["field", "type", "meaning"], _field_rows(schema.declared)),
        "",
        f"Example (`schemas/examples/{schema.name}/{example.name}`):",
        "",
        "```json",
        example.read_text(encoding="utf-8").rstrip(),
        "```",
        "",
    ]


def _field_rows(record: Mapping[str, Any], under: str = "") -> Iterable[list[str]]:
    for field in record["fields"]:
        kind = field["type"]
        optional = isinstance(kind, list)
        inner = kind[1] if optional else kind
        yield [f"`{under}{field['name']}`", _type_text(inner) + _default_text(field, optional=optional), field["doc"]]
        if isinstance(inner, dict) and inner["type"] == "record":
            yield from _field_rows(inner, f"{under}{field['name']}.")


def _type_text(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    if kind["type"] == "enum":
        return " \\| ".join(f"`{symbol}`" for symbol in kind["symbols"])
    if kind.get("logicalType") == "json-object":
        return "JSON object"
    limits = [words.format(kind[limit]) for limit, words in _LIMITS.items() if limit in kind]
    expects = [kind["expects"]] if "expects" in kind else []
    return ", ".join(["object" if kind["type"] == "record" else kind["type"], *expects, *limits])


def _default_text(field: Mapping[str, Any], *, optional: bool) -> str:
    if optional:
        return "; optional"
    return f"; default `{field['default']}`" if "default" in field else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
