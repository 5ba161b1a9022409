"""Small readers and writers of the stack: versions, notify datagrams, properties."""

from __future__ import annotations

import socket
import struct

import pytest

from pipeline.errors import Misconfigured
from pipeline.stack.java import major_version
from pipeline.stack.kafka import new_cluster_id
from pipeline.stack.listener import parse, sender


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment', 17),
        ('java version "1.8.0_412"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "25.0.2" 2026-01-20', 25),
    ],
)
def test_the_version_of_java_is_read(said, version):
    assert major_version(said) == version


def test_what_is_no_java_is_said_to_be_none():
    with pytest.raises(Misconfigured, match="said nothing that is known: 'command not found'"):
        major_version("command not found", "/opt/java")


def test_a_notify_datagram_is_split_into_its_fields():
    assert parse(b"READY=1\nSTATUS=reads omero.eventlog, lag=0\n") == {"READY": "1", "STATUS": "reads omero.eventlog, lag=0"}


def test_rubbish_on_the_notify_socket_is_left_out():
    assert parse(b"\xff\xfe\nhello\n\nWATCHDOG=1") == {"WATCHDOG": "1"}


def test_the_kernel_says_who_sent_a_datagram():
    credentials = struct.pack("3i", 4711, 0, 0)
    assert sender([(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)]) == 4711
    assert sender([(socket.SOL_SOCKET, socket.SCM_RIGHTS, credentials)]) == 0
    assert sender([]) == 0


def test_a_cluster_id_has_kafkas_form_and_is_never_taken_for_an_option():
    ids = {new_cluster_id() for _ in range(300)}
    assert len(ids) == 300
    assert {len(one) for one in ids} == {22}
    assert not any(one.startswith("-") for one in ids)
