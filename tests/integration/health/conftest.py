"""A whole captured installation that a test may spoil: database, slots, connectors, topics, groups, state database."""

from __future__ import annotations

import psycopg
import pytest
from cdc.conftest import capture, captured_settings, omero_database  # noqa: F401 - fixtures

from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.installation import make_groups, make_topics
from pipeline.settings.postgres import connection_parameters
from pipeline.state.migrate import migrate


@pytest.fixture
def installation(capture):  # noqa: F811
    """The settings of an installation in which everything is as it should be, but no service runs."""
    settings = capture.settings
    with KafkaAdmin(settings.kafka) as admin:
        make_topics(admin, settings.kafka.prefix)
        make_groups(admin, settings.kafka)
    with psycopg.connect(**connection_parameters(settings.state, service="test"), autocommit=True) as connection:
        migrate(connection)
    capture.log(rows=3)
    capture.await_ids(capture.committed_ids())
    return settings
