"""The command as a user meets it: real processes, nothing of the package imported."""

from __future__ import annotations

import time

import pytest


def test_help_is_there_at_once_and_names_the_exit_statuses(omero_mq):
    started = time.monotonic()
    runs = [omero_mq("--help") for _ in range(3)]
    assert (time.monotonic() - started) / 3 < 0.6  # measured 0.07 s; a busy machine may take longer
    assert runs[0].stderr == ""
    assert "6    refused" in runs[0].stdout


def test_settings_are_shown_with_their_sources_and_without_secrets(omero_mq, objects, tmp_path):
    (tmp_path / "secret").write_text("hunter2\n")
    (tmp_path / "omero-mq.toml").write_text('[kafka]\nprefix = "mine"\n[kafka.client]\nsasl.password = "hunter3"\n')
    more = {"OMERO_MQ_OMERO_PASSWORD_FILE": "secret", "CONFIG_omero_db_host": "db", "OMERO_MQ_STACK_DATA_DIRECTORY": ""}
    done = omero_mq("config", "show", "--changed", "--json", "--set", "state.port=5433", more=more)
    shown = {each["name"]: (each["value"], each["source"], each["where"]) for each in objects(done)}
    assert shown == {
        "kafka.prefix": ("mine", "file", "omero-mq.toml line 2"),
        "kafka.client.sasl.password": ("(set, not shown)", "file", "omero-mq.toml line 4"),
        "omero.host": ("db", "omero", "CONFIG_omero_db_host"),
        "omero.password": ("(set, not shown)", "environment", "OMERO_MQ_OMERO_PASSWORD_FILE -> secret"),
        "state.port": (5433, "command line", "--set state.port"),
    }
    assert "hunter" not in done.stdout + done.stderr


def test_all_that_is_wrong_with_the_settings_is_told_at_once(omero_mq, objects, tmp_path):
    (tmp_path / "omero-mq.toml").write_text('[kafka]\nbootstap = "x"\n[omero]\nport = "many"\n')
    done = omero_mq("config", "check", "--json", expect=1)
    assert [each["complaints"] for each in objects(done)] == [
        [
            "omero-mq.toml line 2: unknown setting kafka.bootstap; did you mean kafka.bootstrap?",
            "omero-mq.toml line 4: omero.port 'many' is not a whole number from 1 to 65535",
        ]
    ]


def test_an_error_is_what_why_and_what_to_do_in_at_most_four_lines(omero_mq):
    done = omero_mq("config", "show", more={"OMERO_MQ_KAFKA_BOOTSTAP": "x"}, expect=1)
    assert done.stdout == ""
    assert done.stderr == (
        "error: unknown variable OMERO_MQ_KAFKA_BOOTSTAP; did you mean OMERO_MQ_KAFKA_BOOTSTRAP?\n"
        "  fix: correct it; `omero-mq config check` lists all that is wrong, docs/reference/settings.md all settings\n"
    )


def test_a_traceback_is_shown_only_when_asked_for(omero_mq):
    assert "Traceback" in omero_mq("-v", "config", "show", "--config", "gone.toml", expect=1).stderr
    assert "Traceback" not in omero_mq("config", "show", "--config", "gone.toml", expect=1).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["confg"], "No such command 'confg'. Did you mean 'config'?"),
        (["config", "shw"], "No such command 'shw'. Did you mean 'show'?"),
        (["config", "show", "--nope"], "No such option: --nope"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_a_command_that_is_not_understood_is_a_usage_error_with_the_nearest_name(omero_mq, arguments, said):
    done = omero_mq(*arguments, expect=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 4


def test_a_noun_alone_shows_its_help_and_is_a_usage_error(omero_mq):
    assert "Commands:" in omero_mq("config", expect=2).stderr


@pytest.mark.parametrize("both", [False, True])
def test_a_reader_that_goes_away_is_no_error(started, both):
    process = started("config", "show")
    process.stdout.close()  # long before anything is written
    if both:
        process.stderr.close()
        assert process.wait(30) == 0
    else:
        said = process.stderr.read()
        assert process.wait(30) == 0
        assert "Broken" not in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_scripts_are_printed_for_each_shell(omero_mq, shell):
    assert "omero-mq" in omero_mq("completion", shell).stdout


def test_completion_answers_with_nouns_and_verbs(omero_mq):
    more = {"_OMERO_MQ_COMPLETE": "complete_bash", "COMP_WORDS": "omero-mq config s", "COMP_CWORD": "2"}
    assert omero_mq(more=more).stdout.split() == ["show"]


def test_names_in_any_script_and_broken_bytes_never_break_the_output(omero_mq, objects):
    more = {"OMERO_MQ_OMERO_HOST": "dätabäse-Ω", "PYTHONIOENCODING": "ascii", "OMERO_MQ_STACK_DATA_DIRECTORY": ""}
    done = omero_mq("config", "show", "--changed", "--json", more=more)
    assert [each["value"] for each in objects(done)] == ["dätabäse-Ω"]
