"""The reference pages of topics and messages say what the tables and schemas say."""

from __future__ import annotations

from pipeline.wire import reference
from pipeline.wire.consumers import CONSUMERS
from pipeline.wire.messages import MESSAGES
from pipeline.wire.topics import TOPICS


def test_the_pages_are_as_the_code_would_write_them(capsys):
    assert (reference.main(["--check"]), capsys.readouterr().err) == (0, "")


def test_everything_in_the_tables_is_on_a_page():
    topics, messages = reference.topics_page(), reference.messages_page()
    assert [topic.name for topic in TOPICS if f"| `{topic.name}`" not in topics] == []
    assert [spec.name for spec in CONSUMERS if f"### {spec.name}\n" not in topics or spec.test not in topics] == []
    assert [message.schema for message in MESSAGES if f"## {message.schema}\n" not in messages] == []


def test_a_page_that_is_out_of_date_is_named_and_can_be_written_anew(tmp_path, capsys):
    assert reference.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err == (
        "docs/reference/topics.md is not what the code says; run: python -m pipeline.wire.reference --write\n"
        "docs/reference/messages.md is not what the code says; run: python -m pipeline.wire.reference --write\n"
    )
    assert (reference.main(["--write"], tmp_path), reference.main(["--check"], tmp_path)) == (0, 0)


def test_wrong_usage_says_what_is_right(capsys):
    assert reference.main([]) == 2
    assert capsys.readouterr().err == "usage: python -m pipeline.wire.reference --check | --write\n"
