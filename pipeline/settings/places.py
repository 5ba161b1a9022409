"""Where things are kept when no setting says so."""

from __future__ import annotations

import os
from pathlib import Path

_FOR_ROOT = "/var/lib/omero-mq"
_FOR_OTHERS = "~/.local/share/omero-mq"


def data_directory(setting: str) -> Path:
    """The data directory of `stack.data_directory`; empty: /var/lib/omero-mq for root, else below the home directory.

    Root's home is closed to others, and PostgreSQL, which refuses to run as root, could not reach its data there.
    """
    return Path(setting or (_FOR_ROOT if os.geteuid() == 0 else _FOR_OTHERS)).expanduser()
