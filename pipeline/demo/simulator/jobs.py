"""Rows of `job`, a kind of job each."""

from __future__ import annotations

from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.entities import JOB_CLASSES


def new_job(call: Call, kind: str, *, status: str, message: str, **columns: object) -> int:
    """Write a job and its row in the kind's own table."""
    now = call.now()
    job_id = call.insert(
        "job",
        class_name=JOB_CLASSES[kind],
        groupname=_group_name(call),
        username=call.actor.name,
        message=message,
        type="User",
        scheduledfor=now,
        submitted=now,
        status=status_id(call, status),
    )
    names = "".join(f", {name}" for name in columns)
    call.execute(f"INSERT INTO {kind} (job_id{names}) VALUES (%s{', %s' * len(columns)})", (job_id, *columns.values()))
    return job_id


def status_id(call: Call, status: str) -> int:
    """Id of a row of `jobstatus`."""
    found: int = call.row("SELECT id FROM jobstatus WHERE value = %s", (status,))[0]
    return found


def _group_name(call: Call) -> str:
    name: str = call.row("SELECT name FROM experimentergroup WHERE id = %s", (call.group_id,))[0]
    return name
