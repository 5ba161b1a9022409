"""The part of every import before there is an image: files in the managed repository, the fileset, and its jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.entities import JOB_CLASSES
from pipeline.demo.simulator.jobs import new_job, status_id

MANAGED_REPOSITORY = "3b1f6e5a-52c7-4b9e-8a44-0f6d2a9c1e77"
JOBS = ("uploadjob", "metadataimportjob", "pixeldatajob", "thumbnailgenerationjob", "indexingjob")  # the server's order


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """Ids of one fileset and what belongs to it; `jobs` by kind."""

    fileset_id: int
    path: str
    files: list[int]
    jobs: dict[str, int]


def prepare(call: Call, file_names: Sequence[str]) -> Upload:
    """Write directory, files, fileset, entries and jobs; the content has not come yet.

    A name enters the repository only behind the living node's secret, which the database takes off again.
    """
    (secret,) = call.row("SELECT uuid FROM node WHERE down IS NULL ORDER BY id DESC LIMIT 1")
    now = call.now()
    above = f"{call.actor.name}_{call.actor.user_id}/{now:%Y-%m/%d}/"
    directory = f"{now:%H-%M-%S.%f}-{call.server.uuid()[:8]}"
    path = f"{above}{directory}/"
    call.insert("originalfile", name=secret + directory, path=above, repo=MANAGED_REPOSITORY, mimetype="Directory")
    files = call.insert_many(
        "originalfile",
        [
            {
                "name": secret + name,
                "path": path,
                "repo": MANAGED_REPOSITORY,
                "mimetype": "application/octet-stream",
                "ctime": now,
                "mtime": now,
            }
            for name in file_names
        ],
    )
    fileset_id = call.insert("fileset", templateprefix=path)
    call.insert_many(
        "filesetentry",
        [
            {
                "fileset": fileset_id,
                "fileset_index": i,
                "originalfile": file_id,
                "clientpath": f"home/{call.actor.name}/data/{name}",
            }
            for i, (file_id, name) in enumerate(zip(files, file_names, strict=True))
        ],
    )
    jobs = {kind: new_job(call, kind, status="Waiting", message="") for kind in JOBS}
    call.insert_many(
        "filesetjoblink", [{"parent": fileset_id, "child": job, "parent_index": i} for i, job in enumerate(jobs.values())]
    )
    return Upload(fileset_id=fileset_id, path=path, files=files, jobs=jobs)


def receive(call: Call, upload: Upload) -> None:
    """The content is there: checksums and sizes, and the upload job is finished."""
    random = call.server.random
    hasher = call.row("SELECT id FROM checksumalgorithm WHERE value = 'SHA1-160'")[0]
    for file_id in upload.files:
        call.update(
            "originalfile",
            [file_id],
            hash=f"{random.getrandbits(160):040x}",
            hasher=hasher,
            size=random.randrange(10_000, 2_000_000_000),
        )
    finish(call, upload, "uploadjob")


def finish(call: Call, upload: Upload, kind: str) -> None:
    """Mark one of the fileset's jobs as finished."""
    end = {"status": status_id(call, "Finished"), "started": call.now(), "finished": call.now()}
    call.update("job", [upload.jobs[kind]], class_name=JOB_CLASSES[kind], **end)
