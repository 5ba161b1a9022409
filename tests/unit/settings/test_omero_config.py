"""OMERO's own configuration is read for where its database is, and for nothing else."""

from __future__ import annotations

import pytest

from pipeline.errors import Misconfigured
from pipeline.settings.load import Given, load
from pipeline.settings.omero_config import from_file, from_variables

CONFIG_XML = """<icegrid>
  <properties id="__ACTIVE__"><property name="omero.config.profile" value="site"/></properties>
  <properties id="default"><property name="omero.db.host" value="wrong"/></properties>
  <properties id="site">
    <property name="omero.db.host" value="db.example.org"/>
    <property name="omero.db.port" value="5433"/>
    <property name="omero.db.name" value="omero_prod"/>
    <property name="omero.db.user" value="dbowner"/>
    <property name="omero.db.pass" value="hunter2"/>
    <property name="omero.mail.password" value="hunter3"/>
  </properties>
</icegrid>
"""
EXPECTED = {"omero.host": "db.example.org", "omero.port": "5433", "omero.database": "omero_prod", "omero.owner": "dbowner"}


def test_config_xml_is_read_in_its_active_profile(tmp_path):
    (tmp_path / "config.xml").write_text(CONFIG_XML)
    assert from_file(tmp_path / "config.xml") == EXPECTED


def test_the_output_of_omero_config_get_is_read(tmp_path):
    (tmp_path / "out.txt").write_text(
        "omero.db.host=db.example.org\nomero.db.port=5433\nomero.db.name = omero_prod\n"
        "omero.db.user=dbowner\nomero.db.pass=hunter2\n"
    )
    assert from_file(tmp_path / "out.txt") == EXPECTED


def test_container_variables_write_an_underscore_twice_and_a_dot_once():
    variables = {"CONFIG_omero_db_host": "db", "CONFIG_omero_db__host": "no", "CONFIG_omero_db_pass": "hunter2", "HOME": "/"}
    assert from_variables(variables) == {"omero.host": ("db", "CONFIG_omero_db_host")}


def test_omeros_password_and_user_are_never_ours(tmp_path):
    (tmp_path / "config.xml").write_text(CONFIG_XML)
    given = Given(
        environ={}, overrides=[f"omero.config_file={tmp_path}/config.xml", "stack.data_directory=/none"], directory=tmp_path
    )
    settings = load(given).settings.omero
    assert (settings.user, settings.owner, settings.password) == ("omero_mq", "dbowner", "")
    assert "hunter" not in repr(settings)


@pytest.mark.parametrize(("content", "complaint"), [("<icegrid>", "is not the XML that OMERO writes"), (None, "cannot be read")])
def test_a_configuration_that_cannot_be_read_says_so(tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "config.xml").write_text(content)
    with pytest.raises(Misconfigured, match=complaint):
        from_file(tmp_path / "config.xml")


def test_a_wrong_port_names_omeros_file(tmp_path):
    (tmp_path / "out.txt").write_text("omero.db.port=many\n")
    with pytest.raises(Misconfigured, match=r"out.txt: omero.port 'many' is not a whole number from 1 to 65535"):
        load(Given(overrides=[f"omero.config_file={tmp_path}/out.txt"], directory=tmp_path))
