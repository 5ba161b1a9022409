"""Settings come from many places; the later one wins, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import Misconfigured
from pipeline.settings.load import Given, Source, Sourced, load, survey
from pipeline.settings.places import data_directory
from pipeline.settings.values import all_fields
from pipeline.stack import directory


@pytest.fixture
def given(tmp_path):
    """What a caller has with an empty directory, no machine-wide file and no local stack."""

    def make(*, toml: str | None = None, environ=None, overrides=(), config=None) -> Given:
        if toml is not None:
            (tmp_path / "omero-mq.toml").write_text(toml)
            (tmp_path / "omero-mq.toml").chmod(0o600)
        nowhere = tmp_path / "no-stack"
        variables = {"OMERO_MQ_STACK_DATA_DIRECTORY": str(nowhere)} if environ is None else environ
        return Given(
            environ=variables,
            overrides=overrides,
            config=config,
            directory=tmp_path,
            system_file=tmp_path / "etc" / "omero-mq.toml",
        )

    return make


def source(sourced: Sourced, name: str) -> tuple[str, str]:
    found = sourced.sources[name]
    return found.kind, found.where


def test_without_anything_every_value_is_the_default(given):
    sourced = load(given())
    assert sourced.settings.kafka.bootstrap == "127.0.0.1:9092"
    assert {each.kind for name, each in sourced.sources.items() if name != "stack.data_directory"} == {"default"}


def test_a_later_place_wins_and_is_named(given, tmp_path):
    toml = '[kafka]\nbootstrap = "file:1"\nprefix = "file"\n[state]\nport = 1\n'
    environ = {
        "OMERO_MQ_KAFKA_PREFIX": "variable",
        "OMERO_MQ_STATE_PORT": "2",
        "CONFIG_omero_db_host": "db",
        "CONFIG_omero_db_port": "3",
    }
    environ["OMERO_MQ_STACK_DATA_DIRECTORY"] = str(tmp_path / "none")
    sourced = load(given(toml=toml, environ=environ, overrides=["state.port=4"]))
    settings = sourced.settings
    assert (settings.kafka.bootstrap, settings.kafka.prefix, settings.state.port) == ("file:1", "variable", 4)
    assert (settings.omero.host, settings.omero.port) == ("db", 3)
    assert source(sourced, "kafka.bootstrap") == ("file", f"{tmp_path}/omero-mq.toml line 2")
    assert source(sourced, "kafka.prefix") == ("environment", "OMERO_MQ_KAFKA_PREFIX")
    assert source(sourced, "state.port") == ("command line", "--set state.port")
    assert source(sourced, "omero.host") == ("omero", "CONFIG_omero_db_host")


@pytest.mark.parametrize(
    "text", ['[omero]\nhost = "mine"\n', 'omero.host = "mine"\n', '"omero"."host" = "mine"\n', 'omero = {host = "mine"}\n']
)
def test_a_file_wins_over_omeros_own_configuration_however_it_is_written(given, text):
    sourced = load(given(toml=text, environ={"CONFIG_omero_db_host": "theirs", "OMERO_MQ_STACK_DATA_DIRECTORY": "/none"}))
    assert (sourced.settings.omero.host, sourced.sources["omero.host"].kind) == ("mine", "file")


def test_the_local_stacks_file_fills_in_below_the_own_file_only_when_that_one_speaks_of_a_stack(given, tmp_path, monkeypatch):
    stack = tmp_path / "stack"
    stack.mkdir()
    (stack / "omero-mq.toml").write_text('[kafka]\nbootstrap = "stack:1"\nprefix = "stack"\n')
    # The default place is the machine's, which a test must not write to.
    monkeypatch.setattr("pipeline.settings.load.data_directory", lambda setting: Path(setting or stack))
    alone = load(given(environ={})).settings.kafka
    toml = '[kafka]\nprefix = "mine"\n'
    apart = load(given(toml=toml, environ={})).settings.kafka
    joined = load(given(toml=toml + f'[stack]\ndata_directory = "{stack}"\n', environ={}))
    assert (alone.bootstrap, alone.prefix) == ("stack:1", "stack")
    assert (apart.bootstrap, apart.prefix) == ("127.0.0.1:9092", "mine")
    assert (joined.settings.kafka.bootstrap, joined.settings.kafka.prefix) == ("stack:1", "mine")
    assert joined.sources["kafka.bootstrap"] == Source(kind="stack", where=f"{stack}/omero-mq.toml line 2")


def test_a_file_that_is_named_wins_over_those_that_are_found(given, tmp_path):
    (tmp_path / "a.toml").write_text('[kafka]\nprefix = "a"\n')
    (tmp_path / "b.toml").write_text('[kafka]\nprefix = "b"\n')
    environ = {"OMERO_MQ_CONFIG": str(tmp_path / "b.toml"), "OMERO_MQ_STACK_DATA_DIRECTORY": "/none"}
    here = '[kafka]\nprefix = "here"\n'
    assert load(given(toml=here, environ=environ)).settings.kafka.prefix == "b"
    assert load(given(toml=here, environ=environ, config=tmp_path / "a.toml")).settings.kafka.prefix == "a"


def test_the_machines_file_is_the_last_that_is_looked_for(given, tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "omero-mq.toml").write_text('[kafka]\nprefix = "machine"\n')
    assert load(given()).settings.kafka.prefix == "machine"
    assert load(given(toml='[kafka]\nprefix = "here"\n')).settings.kafka.prefix == "here"


def test_a_named_file_that_is_missing_is_an_error_that_says_who_named_it(given, tmp_path):
    with pytest.raises(Misconfigured, match=r"--config names .*/gone.toml, which is not a file"):
        load(given(config=tmp_path / "gone.toml"))
    with pytest.raises(Misconfigured, match=r"OMERO_MQ_CONFIG names /gone.toml"):
        load(given(environ={"OMERO_MQ_CONFIG": "/gone.toml"}))


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ('[kafka]\n\nbootstap = "x"\n', "line 3: unknown setting kafka.bootstap; did you mean kafka.bootstrap?"),
        ("[kafak]\na = 1\n", "line 1: unknown room [kafak]; did you mean kafka?"),
        ("kafka = 3\n", "line 1: kafka is a room; write [kafka] and its settings below"),
        ('[omero]\nport = "5432"\n', "line 2: omero.port '5432' is not a whole number from 1 to 65535"),
        ("[omero]\nport = 0\n", "line 2: omero.port 0 is not a whole number from 1 to 65535"),
        ("[omero]\nport = true\n", "line 2: omero.port True is not a whole number from 1 to 65535"),
        ("[omero]\nhost = 3\n", "line 2: omero.host 3 is not text"),
        ("[relay]\nvisibility_alert_s = nan\n", "line 2: relay.visibility_alert_s nan is not a number, at least 0.001"),
        ("[relay]\nbatch_rows = 1.5\n", "line 2: relay.batch_rows 1.5 is not a whole number from 1 to 1000000"),
        ('[log]\nlevel = "loud"\n', "line 2: log.level 'loud' is not one of debug, info, warning, error"),
        ('[kafka]\nprefix = "no spaces"\n', "line 2: kafka.prefix 'no spaces' is not text that matches [A-Za-z0-9._-]{1,100}"),
        ('[kafka]\nclient = "x"\n', "line 2: kafka.client 'x' is not a table of names and texts"),
        ("[kafka.client]\nx = [1]\n", "kafka.client x: [1] is not text"),
        ("[kafka]\nmin_insync_replicas = 2\n", "kafka.min_insync_replicas 2 is more than kafka.replication_factor 1"),
        ('[omero]\npassword_file = "/no/such"\n', "line 2: omero.password cannot be read from /no/such"),
        ('[omero]\nhost_file = "/no/such"\n', "line 2: unknown setting omero.host_file; did you mean omero.host?"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_line_and_what_was_expected(given, toml, complaint):
    with pytest.raises(Misconfigured) as raised:
        load(given(toml=toml))
    assert complaint in str(raised.value)
    assert raised.value.fix


def test_a_file_that_is_not_toml_names_the_line(given):
    with pytest.raises(Misconfigured, match=r"is not TOML: .*line 2"):
        load(given(toml="[kafka]\nprefix = omero\n"))


@pytest.mark.parametrize(
    ("variable", "text", "complaint"),
    [
        ("OMERO_MQ_KAFKA_BOOTSTAP", "x", "unknown variable OMERO_MQ_KAFKA_BOOTSTAP; did you mean OMERO_MQ_KAFKA_BOOTSTRAP?"),
        ("OMERO_MQ_CONFG", "x", "unknown variable OMERO_MQ_CONFG; did you mean OMERO_MQ_CONFIG?"),
        ("OMERO_MQ_STATE_PORT", "many", "OMERO_MQ_STATE_PORT: state.port 'many' is not a whole number from 1 to 65535"),
        ("OMERO_MQ_RELAY_VISIBILITY_ALERT_S", "inf", "relay.visibility_alert_s inf is not a number, at least 0.001"),
        ("OMERO_MQ_OMERO_PASSWORD_FILE", "/no/such", "OMERO_MQ_OMERO_PASSWORD_FILE: omero.password cannot be read from /no/such"),
        ("OMERO_MQ_KAFKA_CLIENT", "hunter2", "OMERO_MQ_KAFKA_CLIENT: kafka.client line 1 is not name=value"),
    ],
)
def test_what_is_wrong_in_a_variable_is_named(given, variable, text, complaint):
    with pytest.raises(Misconfigured) as raised:
        load(given(environ={variable: text, "OMERO_MQ_STACK_DATA_DIRECTORY": "/none"}))
    assert complaint in str(raised.value)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("kafka.bootstrap", "--set 'kafka.bootstrap' is not room.field=value"),
        ("kafka.boot=x", "--set: unknown setting kafka.boot; did you mean kafka.bootstrap?"),
        ("kafka.client=x", "its entries are set as kafka.client.NAME=VALUE"),
        ("kafka.prefix.more=x", "--set: unknown setting kafka.prefix.more; did you mean kafka.prefix?"),
        ("omero.password=hunter2", "use OMERO_MQ_OMERO_PASSWORD_FILE"),
        ("kafka.client.sasl.password=hunter2", "use OMERO_MQ_KAFKA_CLIENT_FILE"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named_and_a_secret_is_refused_unseen(given, override, complaint):
    with pytest.raises(Misconfigured) as raised:
        load(given(overrides=[override]))
    assert complaint in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_all_complaints_are_told_and_the_first_is_raised_with_the_number_of_the_others(given):
    toml = "[omero]\nport = 0\n[state]\nport = 0\n"
    assert [each.split(": ", 1)[1].split()[0] for each in survey(given(toml=toml)).complaints] == ["omero.port", "state.port"]
    with pytest.raises(Misconfigured, match=r"omero.port .* \(1 more: `omero-mq config check`\)"):
        load(given(toml=toml))


def test_secrets_come_from_files_without_their_last_line_break(given, tmp_path):
    (tmp_path / "one").write_text("first secret \n")
    (tmp_path / "two").write_text("second\r\n")
    environ = {"OMERO_MQ_STATE_PASSWORD_FILE": str(tmp_path / "one"), "OMERO_MQ_STACK_DATA_DIRECTORY": "/none"}
    sourced = load(given(toml='[omero]\npassword_file = "two"\n', environ=environ))
    assert (sourced.settings.state.password, sourced.settings.omero.password) == ("first secret ", "second")
    assert source(sourced, "state.password") == ("environment", f"OMERO_MQ_STATE_PASSWORD_FILE -> {tmp_path}/one")
    assert sourced.cautions == ()


def test_a_variable_and_its_file_together_are_refused_and_an_empty_variable_says_nothing(given, tmp_path):
    (tmp_path / "secret").write_text("x")
    both = {
        "OMERO_MQ_OMERO_PASSWORD": "y",
        "OMERO_MQ_OMERO_PASSWORD_FILE": str(tmp_path / "secret"),
        "OMERO_MQ_STACK_PROFILE": "",
    }
    both["OMERO_MQ_STACK_DATA_DIRECTORY"] = "/none"
    assert survey(given(environ=both)).complaints == (
        "OMERO_MQ_OMERO_PASSWORD_FILE and OMERO_MQ_OMERO_PASSWORD are both set; keep one",
    )


def test_a_secret_in_a_file_that_others_may_read_is_cautioned_about(given, tmp_path):
    arguments = given(toml='[kafka.client]\nsasl.password = "x"\n')
    assert load(arguments).cautions == ()
    (tmp_path / "omero-mq.toml").chmod(0o644)
    assert load(arguments).cautions == (
        f"{tmp_path}/omero-mq.toml holds a secret and other users may read it; chmod 600 {tmp_path}/omero-mq.toml",
    )


def test_librdkafka_properties_are_joined_name_by_name(given, tmp_path):
    toml = '[kafka.client]\nsecurity.protocol = "SASL_SSL"\n"sasl.username" = "file"\nenable.idempotence = true\n'
    environ = {"OMERO_MQ_KAFKA_CLIENT": "# as in kcat.conf\nsasl.username=variable\n", "OMERO_MQ_STACK_DATA_DIRECTORY": "/none"}
    sourced = load(given(toml=toml, environ=environ, overrides=["kafka.client.client.id=cli"]))
    assert dict(sourced.settings.kafka.client) == {
        "security.protocol": "SASL_SSL",
        "sasl.username": "variable",
        "enable.idempotence": "true",
        "client.id": "cli",
    }
    assert source(sourced, "kafka.client.security.protocol") == ("file", f"{tmp_path}/omero-mq.toml line 2")
    assert source(sourced, "kafka.client.sasl.username") == ("environment", "OMERO_MQ_KAFKA_CLIENT")


def test_a_byte_order_mark_is_no_part_of_the_first_name(given, tmp_path):
    (tmp_path / "omero-mq.toml").write_bytes(b"\xef\xbb\xbf" + b'[kafka]\nprefix = "x"\n')
    assert load(given()).settings.kafka.prefix == "x"


@pytest.mark.parametrize("setting", ["", "~/data", "relative"])
def test_the_stacks_file_is_looked_for_where_the_stack_writes_it(setting):
    assert (data_directory(setting) / "omero-mq.toml").resolve() == directory.chosen(setting).settings_file


def test_every_number_says_what_is_too_small():
    assert [name for name, field in all_fields() if field.type in ("int", "float") and field.metadata["lowest"] is None] == []
