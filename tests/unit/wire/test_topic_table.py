"""The table of topics: names under a site's prefix, and letters that are kept as long as what they come from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Misconfigured
from pipeline.wire import topics
from pipeline.wire.consumers import CONSUMERS
from pipeline.wire.topics import DAY_MS, LETTERS, TOPICS, by_name, checked_prefix, letters_topic, lookup, named

KEBAB = st.from_regex(r"[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,9}){0,3}", fullmatch=True)
PREFIXES = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,30}[a-zA-Z0-9])?", fullmatch=True)


def test_the_names_are_those_that_everybody_knows():
    assert [topic.name for topic in TOPICS] == [
        "omero.eventlog",
        "omero.reindexing",
        "omero.reindex",
        "omero.events",
        "omero.search.documents",
        "omero.work.<queue>",
        "omero.job-events",
        "omero.retry.relay",
        "omero.dlq.<consumer>",
        "omero.dlq.decisions",
        "omero.cdc.heartbeat.<connector>",
        "omero.cdc.signal",
    ]


def test_every_topic_of_the_module_is_in_the_table_once():
    constants = [value for value in vars(topics).values() if isinstance(value, topics.Topic)]
    assert sorted(topic.name for topic in constants) == sorted(topic.name for topic in TOPICS)
    assert len(set(TOPICS)) == len(TOPICS)


def test_the_prefix_replaces_the_first_word():
    assert named(topics.EVENTLOG) == "omero.eventlog"
    assert named(topics.EVENTLOG, "site-a.omero") == "site-a.omero.eventlog"
    assert named(topics.WORK, "site-a", "mail-digest") == "site-a.work.mail-digest"
    assert named(topics.HEARTBEAT, "site-a", "eventlog") == "site-a.cdc.heartbeat.eventlog"
    assert letters_topic("relay", "site-a") == "site-a.dlq.relay"
    assert letters_topic("relay") == "omero.dlq.relay"


@given(PREFIXES, KEBAB.filter(lambda member: member != "decisions"))
def test_a_name_leads_back_to_its_entry_and_its_member(prefix, member):
    for topic in TOPICS:
        expected = member if topic.is_family else ""
        assert lookup(named(topic, prefix, expected), prefix) == (topic, expected)
        assert by_name(named(topic, prefix, expected), prefix) == topic


def test_the_decisions_are_no_consumer_of_that_name():
    assert by_name("omero.dlq.decisions") == topics.DECISIONS
    with pytest.raises(Misconfigured, match="'decisions' cannot name a queue, consumer or connector") as caught:
        letters_topic("decisions")
    assert caught.value.fix == "omero.dlq.decisions is a topic of its own: choose another name"


@pytest.mark.parametrize("member", ["Pixels", "mail_digest", "-a", "a-", "a--b", "1a", "a.b", "µm", "a b", "a\n", "<queue>"])
def test_a_member_that_is_no_kebab_case_is_refused(member):
    with pytest.raises(Misconfigured, match="cannot name a queue, consumer or connector") as caught:
        named(topics.WORK, "omero", member)
    assert caught.value.fix == "use kebab-case: small letters and digits, words joined by single hyphens, a letter first"


@pytest.mark.parametrize("prefix", ["", ".", "..", "a/b", "a b", ".a", "a.", "-a", "ömero", "a\n", "__a"])
def test_a_prefix_that_kafka_or_people_would_stumble_over_is_refused(prefix):
    with pytest.raises(Misconfigured, match="cannot begin a topic name"):
        checked_prefix(prefix)
    with pytest.raises(Misconfigured, match="cannot begin a topic name"):
        named(topics.EVENTS, prefix)


def test_a_family_needs_a_member_and_a_single_topic_takes_none():
    with pytest.raises(Misconfigured, match=r"^omero\.work\.<queue> stands for many: which one\?$"):
        named(topics.WORK)
    with pytest.raises(Misconfigured, match=r"^omero\.events is a single topic, so 'a' has no place in its name$"):
        named(topics.EVENTS, "omero", "a")


def test_a_name_longer_than_kafka_takes_is_refused():
    assert len(named(topics.WORK, "a" * 100, "b" * 143)) == topics.MAX_NAME_LENGTH
    with pytest.raises(Misconfigured, match="has 250 characters, Kafka takes 249"):
        named(topics.WORK, "a" * 100, "b" * 144)


@pytest.mark.parametrize("name", ["omero.work.Pixels", "omero.work.", "omero.work.<queue>", "other.events", "omero", ""])
def test_other_topics_are_none_of_ours(name):
    with pytest.raises(Misconfigured, match="is no topic of ours under the prefix 'omero'"):
        by_name(name)


def test_a_misspelt_topic_is_answered_with_the_nearest():
    with pytest.raises(Misconfigured) as caught:
        by_name("site.evnets", "site")
    assert caught.value.fix == "did you mean site.events?"


def test_letters_outlive_their_sources_and_take_whatever_those_took():
    sources = {topic for spec in CONSUMERS if spec.letters for topic in spec.sources} | {topics.WORK}
    assert all(LETTERS.retention_ms >= topic.retention_ms for topic in sources)
    assert all(LETTERS.max_message_bytes > topic.max_message_bytes for topic in sources)
    assert LETTERS.retention_ms == 90 * DAY_MS


def test_no_topic_is_compacted_by_mistake():
    assert [topic.name for topic in TOPICS if topic.compacted] == []
