"""An administrator creates a group: private, read-only, read-annotate or read-write."""

from __future__ import annotations

from pipeline.demo.simulator.entities import CLASSES, PERMISSIONS, named
from pipeline.demo.simulator.history import ROOT, Actor, Done
from pipeline.demo.simulator.server import Server


def create_group(server: Server, name: str, permissions: str, *, by: Actor = ROOT) -> Done:
    """Create a group; `permissions` is ``rw----``, ``rwr---``, ``rwra--`` or ``rwrw--``."""
    with server.call(by) as call:
        group_id = call.insert("experimentergroup", name=name, description=None, ldap=False)
        call.execute("UPDATE experimentergroup SET permissions = %s WHERE id = %s", (PERMISSIONS[permissions], group_id))
    return call.done("create group", named(CLASSES["experimentergroup"], group_id))
