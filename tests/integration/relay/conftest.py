"""A facility for each test."""

import pytest

from . import facility as facilities


@pytest.fixture
def facility(postgres, kafka, unique):
    made = facilities.make(postgres, kafka, unique)
    yield made
    facilities.drop(postgres, made)
