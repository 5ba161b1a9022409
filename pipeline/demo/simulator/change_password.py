"""A password changes: raw SQL on `password`, and an eventlog row with the action PASSWORD."""

from __future__ import annotations

from pipeline.demo.simulator.entities import CLASSES, named
from pipeline.demo.simulator.history import ROOT, Actor, Done
from pipeline.demo.simulator.server import Server


def change_password(server: Server, user_id: int, *, by: Actor = ROOT) -> Done:
    """Set a new password hash."""
    with server.call(by) as call:
        call.execute(
            "INSERT INTO password VALUES (%s, %s, %s)"
            " ON CONFLICT (experimenter_id) DO UPDATE SET hash = excluded.hash, changed = excluded.changed",
            (user_id, f"{server.secrets.password_prefix}{server.random.getrandbits(128):032x}", call.now()),
        )
        call.note("PASSWORD", CLASSES["experimenter"], [user_id])
    return call.done("change password", named(CLASSES["experimenter"], user_id))
