"""A user logs in: a session row, whose uuid is the key to the session, written by an event of type Sessions."""

from __future__ import annotations

from pipeline.demo.simulator.entities import CLASSES, named
from pipeline.demo.simulator.history import ROOT, Actor, Done
from pipeline.demo.simulator.server import Server


def login(server: Server, user_name: str, *, group_id: int | None = None, sudoer: int | None = None) -> Done:
    """Open a session in the user's default group, or another. `Done.actor` is the user in the new session.

    Raises:
        LookupError: there is no such user, or it is not a member of the group.
    """
    with server.call(ROOT, event_type="Sessions") as call:
        user_id, group = call.row(
            "SELECT child, parent FROM groupexperimentermap JOIN experimenter ON experimenter.id = child"
            " WHERE omename = %(user)s AND (%(group)s::int8 IS NULL OR parent = %(group)s) ORDER BY child_index LIMIT 1",
            {"user": user_name, "group": group_id},
        )
        session_id = call.insert(
            "session",
            started=call.now(),
            timetoidle=600_000,
            timetolive=0,
            defaulteventtype="User",
            useragent="OMERO.web",
            userip="192.0.2.7",
            uuid=server.secrets.session_prefix + server.uuid(),
            owner=user_id,
            sudoer=sudoer,
            message=None,
            node=call.row("SELECT max(id) FROM node WHERE down IS NULL")[0],
        )
    done = call.done("log in", named(CLASSES["session"], session_id), named(CLASSES["experimenter"], user_id))
    actor = Actor(user_id=user_id, name=user_name, group_id=group, session_id=session_id)
    return Done(
        action=done.action,
        actor=actor,
        objects=done.objects,
        event_id=done.event_id,
        log_ids=done.log_ids,
        transaction_id=done.transaction_id,
        committed_ns=done.committed_ns,
    )
