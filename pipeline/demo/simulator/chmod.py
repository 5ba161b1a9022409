"""A group changes its permissions, by either of the server's two ways. The group's objects get no rows."""

from __future__ import annotations

from pipeline.demo.simulator.entities import CLASSES, PERMISSIONS, named
from pipeline.demo.simulator.history import ROOT, Actor, Done
from pipeline.demo.simulator.server import Server

_GROUP = CLASSES["experimentergroup"]
_FOREIGN_LINKS = (
    "SELECT link.id FROM imageannotationlink AS link JOIN image ON image.id = link.parent"
    " WHERE link.group_id = %s AND link.owner_id <> image.owner_id ORDER BY link.id"
)


def chmod_by_admin_service(server: Server, group_id: int, permissions: str, *, by: Actor = ROOT) -> Done:
    """`IAdmin.changePermissions`: raw SQL, and one row whose action carries the permissions: ``CHMOD(rwr---)``."""
    with server.call(by) as call:
        call.execute("UPDATE experimentergroup SET permissions = %s WHERE id = %s", (PERMISSIONS[permissions], group_id))
        call.note(f"CHMOD({permissions})", _GROUP, [group_id])
    return call.done("chmod", named(_GROUP, group_id))


def chmod_by_request(server: Server, group_id: int, permissions: str, *, by: Actor = ROOT) -> Done:
    """`Chmod2`: UPDATE of the group; when it becomes private, others' annotations come off its images (DELETE of links)."""
    with server.call(by) as call:
        if permissions == "rw----":
            links = call.ids(_FOREIGN_LINKS, (group_id,))
            call.delete("imageannotationlink", links)
        call.execute("UPDATE experimentergroup SET permissions = %s WHERE id = %s", (PERMISSIONS[permissions], group_id))
        call.update("experimentergroup", [group_id])
    return call.done("chmod", named(_GROUP, group_id))
