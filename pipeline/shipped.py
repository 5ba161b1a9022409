"""Where files that come with the package are: schemas and connector configurations."""

from __future__ import annotations

from pathlib import Path

_INSTALLED = Path(__file__).with_name("shipped_files")
_CHECKOUT = Path(__file__).resolve().parent.parent


def directory(name: str) -> Path:
    """The directory ``schemas`` or ``connectors``, in an installed wheel or in a checkout."""
    installed = _INSTALLED / name
    return installed if installed.is_dir() else _CHECKOUT / name
