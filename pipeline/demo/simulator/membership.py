"""Who belongs to which group, and who leads it. No object has a row of its own when this changes what people can see."""

from __future__ import annotations

from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.entities import CLASSES, named
from pipeline.demo.simulator.history import ROOT, Actor, Done
from pipeline.demo.simulator.server import Server

SYSTEM_GROUP = 0
_MAP = CLASSES["groupexperimentermap"]


def join_group(server: Server, user_id: int, group_id: int, *, leader: bool = False, by: Actor = ROOT) -> Done:
    """Add a membership at the end of the user's list; into group `system` it makes an administrator."""
    with server.call(by) as call:
        if group_id == SYSTEM_GROUP:
            call.execute(
                "INSERT INTO _current_admin_privileges (transaction, privilege) SELECT txid_current(), value FROM adminprivilege"
            )
        (position,) = call.row("SELECT coalesce(max(child_index) + 1, 0) FROM groupexperimentermap WHERE child = %s", (user_id,))
        member = call.insert("groupexperimentermap", parent=group_id, child=user_id, child_index=position, owner=leader)
        if group_id == SYSTEM_GROUP:
            call.execute("SET CONSTRAINTS ALL IMMEDIATE")
            call.execute("DELETE FROM _current_admin_privileges WHERE transaction = txid_current()")
    return call.done("join group", named(_MAP, member), *_whom(user_id, group_id))


def leave_group(server: Server, user_id: int, group_id: int, *, by: Actor = ROOT) -> Done:
    """Remove a membership and close the gap in the user's list; leaving group `user` (1) deactivates the user.

    Raises:
        LookupError: the user is not a member.
    """
    with server.call(by) as call:
        member, position = _member(call, user_id, group_id)
        call.delete("groupexperimentermap", [member])
        later = "SELECT id FROM groupexperimentermap WHERE child = %s AND child_index > %s ORDER BY child_index"
        for other in call.ids(later, (user_id, position)):
            call.execute("UPDATE groupexperimentermap SET child_index = child_index - 1 WHERE id = %s", (other,))
            call.update("groupexperimentermap", [other])
    return call.done("leave group", named(_MAP, member), *_whom(user_id, group_id))


def set_leader(server: Server, user_id: int, group_id: int, *, leader: bool, by: Actor = ROOT) -> Done:
    """Make a member a leader of the group, or an ordinary member again."""
    with server.call(by) as call:
        member, _ = _member(call, user_id, group_id)
        call.update("groupexperimentermap", [member], owner=leader)
    return call.done("set leader", named(_MAP, member), *_whom(user_id, group_id))


def _member(call: Call, user_id: int, group_id: int) -> tuple[int, int]:
    member, position = call.row(
        "SELECT id, child_index FROM groupexperimentermap WHERE child = %s AND parent = %s", (user_id, group_id)
    )
    return member, position


def _whom(user_id: int, group_id: int) -> tuple[str, str]:
    return named(CLASSES["experimenter"], user_id), named(CLASSES["experimentergroup"], group_id)
