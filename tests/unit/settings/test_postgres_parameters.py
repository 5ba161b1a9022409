"""How connections are described, and what a refused one means."""

import pytest

from pipeline.settings.model import OmeroSettings, StateSettings
from pipeline.settings.postgres import connection_parameters, refusal_fix


def test_both_databases_are_reached_by_the_same_parameters_and_each_connection_says_whose_it_is():
    of_state = connection_parameters(StateSettings(host="db", port=5433, password="p", sslmode="require"), service="relay")
    of_omero = connection_parameters(OmeroSettings(host="db", port=5433, password="p", sslmode="require"), service="relay")
    differs = {"dbname": "omero"}
    assert of_omero == of_state | differs
    named = ("host", "port", "dbname", "user", "password", "sslmode", "application_name")
    assert {name: of_state[name] for name in named} == {
        "host": "db",
        "port": 5433,
        "dbname": "omero_mq",
        "user": "omero_mq",
        "password": "p",
        "sslmode": "require",
        "application_name": "omero-mq relay",
    }


def test_without_a_password_libpq_looks_for_one_itself():
    assert "password" not in connection_parameters(StateSettings(), service="relay")


@pytest.mark.parametrize(
    ("message", "fix"),
    [
        ('FATAL: password authentication failed for user "x"', "correct state.user and state.password"),
        ("fe_sendauth: no password supplied", "set state.password, OMERO_MQ_STATE_PASSWORD_FILE"),
        ('FATAL: database "x" does not exist', "correct state.database"),
        ('FATAL: role "x" does not exist', "correct state.user"),
        ('no pg_hba.conf entry for host "::1", user "x"', "ask the DBA for a line in pg_hba.conf"),
        ('FATAL: role "x" is not permitted to log in', "ask the DBA to give the role LOGIN"),
    ],
)
def test_a_refusal_is_for_a_person_and_says_which_setting(message, fix):
    assert refusal_fix(message, room="state").startswith(fix)


@pytest.mark.parametrize(
    "message",
    [
        "Connection refused",
        "FATAL: the database system is starting up",
        "FATAL: sorry, too many clients already",
        "connection timeout expired",
        'could not translate host name "db" to address',
        'connection to server on socket "/x/.s.PGSQL.5432" failed: No such file or directory',
    ],
)
def test_what_may_pass_is_no_refusal(message):
    assert refusal_fix(message, room="state") == ""
