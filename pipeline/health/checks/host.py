"""This machine: pinned packages, compression, room on the disk."""

from __future__ import annotations

from pipeline.health.ask import Away
from pipeline.health.doctor import Check, Verdict, fail, ok, reached, warn
from pipeline.health.examined import Examined
from pipeline.health.words import size
from pipeline.kafka.cluster import CODECS

PINNED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}
LEAST_BYTES = 1_073_741_824  # below it `up` does not start
_UNSEEN = Verdict(state="halted", said="needs host.packages")  # nothing was seen of this machine, as that one says
LOW_BYTES = 10 * LEAST_BYTES


def packages(seen: Examined) -> Verdict:
    """Whether the pair of packages that must move together has not moved."""
    if isinstance(seen.host, Away):
        return reached(seen.host, "")
    wrong = [(name, pin, seen.host.installed.get(name)) for name, pin in PINNED.items() if seen.host.installed.get(name) != pin]
    if wrong:
        said = ", ".join(f"{name} is {found or 'not installed'} instead of {pin}" for name, pin, found in wrong)
        fix = "pip install " + " ".join(f"{name}=={pin}" for name, pin, _ in wrong)
        return fail(f"{said}: the worker was proved with these versions only", fix)
    return ok(", ".join(f"{name} {version}" for name, version in seen.host.installed.items() if version))


def codecs(seen: Examined) -> Verdict:
    """Whether every compression that a producer may use can be read; a reader that lacks one just stands still."""
    if isinstance(seen.host, Away):
        return _UNSEEN
    found = seen.host
    native = [codec for codec in CODECS if codec not in found.native_codecs]
    if native:
        fix = "pip install --force-reinstall confluent-kafka   (its wheel has all of them)"
        return fail(f"the Kafka client cannot read {', '.join(native)}", fix)
    worker = [codec for codec in CODECS if codec not in found.faust_codecs]
    if worker:
        return fail(
            f"the Faust worker cannot read {', '.join(worker)}: it would stand still in silence", "pip install 'cramjam>=2.14,<3'"
        )
    return ok(f"can read {', '.join(CODECS)}")


def disk(seen: Examined) -> Verdict:
    """Room for the local stack's data; elsewhere brokers and databases watch their own disks."""
    if isinstance(seen.host, Away):
        return _UNSEEN
    found = seen.host
    if not found.directory:
        return ok("no data directory on this machine; brokers and databases have disks of their own to watch")
    said = f"{size(found.free_bytes)} of {size(found.disk_bytes)} free for {found.directory}"
    fix = "free some space, or name a data directory on another disk (stack.data_directory)"
    if found.free_bytes < LEAST_BYTES:
        return fail(f"only {said}", fix)
    return warn(f"only {said}", fix) if found.free_bytes < LOW_BYTES else ok(said)


CHECKS = (
    Check(name="host.packages", run=packages, before=True),
    Check(name="host.codecs", run=codecs, before=True),
    Check(name="host.disk", run=disk, before=True),
)
