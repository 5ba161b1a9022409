"""An administrator creates a user with a default group; the password is set in a call of its own."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.demo.simulator.change_password import change_password
from pipeline.demo.simulator.entities import CLASSES, named
from pipeline.demo.simulator.history import ROOT, Actor, Done
from pipeline.demo.simulator.server import Server

USER_GROUP = 1  # whoever is in it may log in


def create_user(server: Server, login: str, first: str, last: str, *, group_id: int, by: Actor = ROOT) -> Iterator[Done]:
    """Two transactions: the user with the memberships (default group first), then the password."""
    with server.call(by) as call:
        user_id = call.insert(
            "experimenter",
            omename=login,
            firstname=first,
            lastname=last,
            ldap=False,
            email=f"{login}@{server.secrets.email_domain}",
            institution="Institute of Examples",
        )
        groups = [group_id, USER_GROUP] if group_id != USER_GROUP else [USER_GROUP]
        members = [{"parent": group, "child": user_id, "child_index": i, "owner": False} for i, group in enumerate(groups)]
        call.insert_many("groupexperimentermap", members)
    yield call.done("create user", named(CLASSES["experimenter"], user_id))
    yield change_password(server, user_id, by=by)
