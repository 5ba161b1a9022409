"""One whole installation that all tests of this room disturb, one after another."""

import shutil
import tempfile
from pathlib import Path

import pytest

from .site import Site


@pytest.fixture(scope="session")
def running_site(jvm):
    directory = Path(tempfile.mkdtemp(prefix="omero-mq-chaos-"))
    directory.chmod(0o711)  # PostgreSQL's own user passes through
    site = Site(directory, jvm)
    try:
        site.start()
        yield site
    finally:
        site.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def site(running_site):
    """Everything runs and is caught up when a test begins, whatever the one before has done."""
    running_site.calm_down()
    return running_site
