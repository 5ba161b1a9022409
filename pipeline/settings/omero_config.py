"""What OMERO's own configuration says about its database: omero.db.*, and nothing else of it.

Three shapes are read: ``etc/grid/config.xml``, the saved output of ``omero config get`` (``name=value`` lines), and the
variables ``CONFIG_omero_db_host`` of OMERO's containers, where ``_`` stands for a dot and ``__`` for an underscore.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from pipeline.errors import Misconfigured

# omero.db.pass is left alone: it opens OMERO's own role, and ours is another one with fewer rights.
SETTING_OF = {
    "omero.db.host": "omero.host",
    "omero.db.port": "omero.port",
    "omero.db.name": "omero.database",
    "omero.db.user": "omero.owner",
}


def from_file(path: Path) -> dict[str, str]:
    """Setting name -> text, from ``config.xml`` or from the output of ``omero config get``.

    Raises:
        Misconfigured: the file cannot be read or is neither of the two.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"OMERO's configuration {path} cannot be read: {error}",
            fix="set omero.config_file to OMERO's etc/grid/config.xml or to the saved output of `omero config get`",
        ) from error
    found = _from_xml(text, path) if text.lstrip().startswith("<") else _from_lines(text)
    return {setting: found[name] for name, setting in SETTING_OF.items() if name in found}


def from_variables(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Setting name -> (text, variable's name), from the variables of OMERO's containers."""
    result = {}
    for variable, text in environ.items():
        if variable.startswith("CONFIG_"):
            setting = SETTING_OF.get(_dotted(variable.removeprefix("CONFIG_")))
            if setting:
                result[setting] = (text, variable)
    return result


def _dotted(name: str) -> str:
    return re.sub("__|_", lambda found: "_" if found[0] == "__" else ".", name)


def _from_lines(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def _from_xml(text: str, path: Path) -> dict[str, str]:
    try:
        root = ET.fromstring(text)  # noqa: S314 - the administrator's own file, and expat bounds entity expansion
    except ET.ParseError as error:
        raise Misconfigured(
            f"OMERO's configuration {path} is not the XML that OMERO writes: {error}",
            fix="check the path; OMERO keeps it at etc/grid/config.xml",
        ) from error
    blocks = {block.get("id", ""): block for block in root.iter("properties")}
    active = _properties(blocks.get("__ACTIVE__")).get("omero.config.profile", "default")
    return _properties(blocks.get(active))


def _properties(block: ET.Element | None) -> dict[str, str]:
    if block is None:
        return {}
    return {each.get("name", ""): each.get("value", "") for each in block.iter("property")}
