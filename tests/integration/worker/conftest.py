"""A site for each test: topics, a group, agents that are ended with it."""

import pytest

from .site import Site


@pytest.fixture
def site(kafka, unique, tmp_path):
    made = Site(kafka.bootstrap, unique, tmp_path)
    yield made
    made.close()
