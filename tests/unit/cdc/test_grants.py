"""What a DBA is asked to review, on each version of PostgreSQL."""

import re

import pytest

from pipeline.errors import Misconfigured
from pipeline.omero.grants import READ_COLUMNS, print_sql
from pipeline.omero.removal import uninstall_sql
from pipeline.settings.model import CdcSettings, OmeroSettings, Settings, StateSettings

SECRET = "hunter2"
SETTINGS = Settings(
    omero=OmeroSettings(password=SECRET),
    state=StateSettings(user="omero_mq_state", password=SECRET),
    cdc=CdcSettings(password=SECRET),
)


@pytest.mark.parametrize("version", [14, 15, 16, 17, 18])
def test_no_password_is_in_the_script(version):
    script = print_sql(SETTINGS, version)
    assert SECRET not in script
    assert set(re.findall(r":'(\w+)'", script)) == {"cdc_password", "mq_password", "state_password"}


@pytest.mark.parametrize(
    ("version", "filtered", "failover"), [(14, False, False), (15, True, False), (16, True, False), (17, True, True)]
)
def test_each_version_gets_what_it_understands(version, filtered, failover):
    script = print_sql(SETTINGS, version)
    assert ("WHERE (NOT (action = 'REINDEX' AND permissions = -52))" in script) is filtered
    assert script.count("failover => true") == (2 if failover else 0)


def test_a_version_that_is_too_old_is_refused():
    with pytest.raises(Misconfigured, match="PostgreSQL 13 is not supported"):
        print_sql(SETTINGS, 13)


def test_no_secret_column_is_granted():
    granted = {(table, column) for table, columns in READ_COLUMNS.items() for column in columns}
    assert not {table for table, _ in granted} & {"password", "node", "configuration", "experimenter", "share"}
    assert ("session", "uuid") not in granted


def test_publications_name_their_tables_and_publish_inserts():
    script = print_sql(SETTINGS, 15)
    assert "ALL TABLES" not in script.upper()
    assert script.count("publish = 'insert'") == 4
    assert "GRANT INSERT" not in script
    assert "GRANT ALL" not in script


def test_one_role_for_reading_and_for_the_state_database_gets_connections_for_both():
    shared = print_sql(Settings(), 15)
    assert shared.count("CREATE ROLE") == 2
    assert (
        "ALTER ROLE omero_mq LOGIN NOREPLICATION NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS CONNECTION LIMIT 20;"
        in shared
    )


def test_names_that_need_quotes_get_them():
    script = print_sql(Settings(omero=OmeroSettings(database="OMERO 5", user='we"ird')), 15)
    assert 'GRANT CONNECT ON DATABASE "OMERO 5"' in script
    assert 'CREATE ROLE "we""ird"' in script
    assert "rolname = 'we\"ird'" in script


def test_the_state_database_goes_only_when_asked_for():
    assert "DROP DATABASE" not in uninstall_sql(SETTINGS)
    assert "DROP ROLE IF EXISTS omero_mq_state" not in uninstall_sql(SETTINGS)
    everything = uninstall_sql(SETTINGS, with_state_database=True)
    assert "DROP DATABASE IF EXISTS omero_mq WITH (FORCE)" in everything
    assert "DROP ROLE IF EXISTS omero_mq_state" in everything
