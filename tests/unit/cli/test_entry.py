"""Options of every command may stand anywhere; help costs no imports; every command is documented."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.cli.app import COMMANDS, command_of
from pipeline.cli.entry import in_front


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["config", "show", "--json"], ["--json", "config", "show"]),
        (["config", "--set", "a.b=c", "show", "-v"], ["--set", "a.b=c", "-v", "config", "show"]),
        (["config", "--config=x.toml", "show"], ["--config=x.toml", "config", "show"]),
        (["run", "--", "--json"], ["run", "--", "--json"]),
        (["config", "--set"], ["--set", "config"]),
        ([], []),
    ],
)
def test_options_of_every_command_move_to_the_front(given, expected):
    assert in_front(given) == expected


def test_help_imports_no_client_library():
    heavy = ("confluent_kafka", "psycopg", "faust", "fastavro", "msgspec", "rich")
    code = f"import sys, pipeline.cli.entry as e; e.root(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def verbs(name):
    command = command_of(name)
    return (
        [(f"{name} {verb}", each) for verb, each in command.commands.items()]
        if getattr(command, "commands", None)
        else [(name, command)]
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_sentence_and_an_example(name):
    for full, command in verbs(name):
        assert command.help.split("\n", 1)[0].endswith("."), full
        assert "Examples:" in command.help, full
        assert f"omero-mq {full}" in command.help, full
