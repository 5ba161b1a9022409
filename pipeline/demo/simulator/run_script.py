"""The life of a script's job: waiting, running, finished or failed, with its output files."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.entities import CLASSES, JOB_CLASSES, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.jobs import new_job, status_id
from pipeline.demo.simulator.server import Server

_JOB = JOB_CLASSES["scriptjob"]


def run_script(server: Server, actor: Actor, script: str, *, outcome: str = "Finished", message: str = "") -> Iterator[Done]:
    """Three transactions: submitted (Waiting), started (Running), ended as `outcome`: Finished, Error or Cancelled."""
    with server.call(actor, event_type="Processing") as call:
        file_id = _script_file(call, script)
        job_id = new_job(call, "scriptjob", status="Waiting", message="", description=f"Run {script}")
        call.insert("joboriginalfilelink", parent=job_id, child=file_id)
    yield call.done("submit script", named(_JOB, job_id), named(CLASSES["originalfile"], file_id))
    with server.call(actor, event_type="Processing") as call:
        call.update("job", [job_id], class_name=_JOB, status=status_id(call, "Running"), started=call.now())
    yield call.done("start script", named(_JOB, job_id))
    with server.call(actor, event_type="Processing") as call:
        for stream in ("stdout", "stderr"):
            output = call.insert(
                "originalfile",
                name=stream,
                path=f"{server.uuid()}/",
                mimetype="text/plain",
                size=server.random.randrange(5000),
                hash=f"{server.random.getrandbits(160):040x}",
            )
            call.insert("joboriginalfilelink", parent=job_id, child=output)
        end = {"status": status_id(call, outcome), "finished": call.now(), "message": message[:255]}
        call.update("job", [job_id], class_name=_JOB, **end)
    yield call.done("end script", named(_JOB, job_id))


def _script_file(call: Call, script: str) -> int:
    known = call.ids("SELECT id FROM originalfile WHERE name = %s AND mimetype = 'text/x-python' ORDER BY id", (script,))
    if known:
        return known[0]
    return call.insert("originalfile", name=script, path="/omero/demo_scripts/", mimetype="text/x-python", size=2048, hash=None)
