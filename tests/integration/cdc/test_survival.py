"""What capture survives: kill -9 of Kafka Connect, a restart of PostgreSQL, a broker that is away; nothing may be missing."""

import threading
import time

import psycopg
import pytest

from pipeline.cdc.repair import repair, repair_without_rows
from pipeline.errors import DependencyDown

from .capture import own_capture, until

pytestmark = [pytest.mark.stack, pytest.mark.chaos, pytest.mark.timeout(300)]


class Facility:
    """Keeps committing until told to stop; knows what was committed, and rides out a database that restarts."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stop = threading.Event()
        self.committed: list[int] = []
        self.unsure: list[int] = []
        self._thread = threading.Thread(target=self._work)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._dsn) as session:
                    self._write(session)
            except psycopg.Error:
                time.sleep(0.1)

    def _write(self, session) -> None:
        while not self._stop.is_set():
            last = session.execute("SELECT ome_nextval('seq_eventlog', 20)").fetchone()[0]
            ids = list(range(last - 19, last + 1))
            with session.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO eventlog (id, permissions, entityid, entitytype, action, event)"
                    " VALUES (%s, -35, %s, 'ome.model.core.Image', 'UPDATE', 0)",
                    [(one, one % 7) for one in ids],
                )
            self.unsure = ids  # a commit whose answer is lost may have happened
            session.commit()
            self.unsure = []
            self.committed += ids
            time.sleep(0.01)


def test_nothing_is_missing_after_kills_and_restarts(own_stack, unique):
    stack = own_stack(parts=("postgres", "kafka", "connect"))
    with own_capture(stack, unique) as (capture, dsn):
        with Facility(dsn) as facility:
            for disturb in (
                lambda: stack.kill("connect"),
                lambda: stack.kill("connect"),
                lambda: stack.restart("postgres"),
                lambda: stack.kill("postgres"),
                lambda: stack.kill("kafka"),
            ):
                before = len(facility.committed)
                until(lambda before=before: len(facility.committed) > before + 200, what="rows being committed")
                disturb()
                until(
                    lambda before=before: len(facility.committed) > before + 400, within_s=60, what="rows being committed again"
                )
        for part in ("postgres", "kafka", "connect"):
            stack.wait_ready(part)
        capture.admin = psycopg.connect(dsn, autocommit=True)
        capture.await_ids(facility.committed, within_s=90)
        until(lambda: not capture.findings(), within_s=60, what="a healthy connector")
        ids = capture.ids()
        assert (
            set(facility.committed)
            <= set(ids)
            <= set(facility.committed)
            | set(facility.unsure)
            | {row[0] for row in capture.admin.execute("SELECT id FROM eventlog").fetchall()}
        )
        first_seen: dict[int, list[int]] = {}
        for row in capture.rows():
            order = first_seen.setdefault(row["entityid"], [])
            if row["id"] not in order:
                order.append(row["id"])
        assert all(order == sorted(order) for order in first_seen.values()), "first occurrences of an object are in commit order"
        with capture.parts() as parts:
            stack.take_down("connect")
            with pytest.raises(DependencyDown, match="kafka-connect is away"):
                parts.connect.status(capture.eventlog.name)
            stack.bring_up("connect")
        capture.admin.close()


def test_a_slot_that_fell_behind_the_servers_cap_is_named_and_repaired(own_stack, unique):
    cap = {"max_slot_wal_keep_size": "16MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    stack = own_stack(parts=("postgres", "kafka", "connect"), postgres=cap)
    with own_capture(stack, unique) as (capture, _):
        seen = capture.log(rows=50)
        capture.await_ids(seen)
        until(lambda: capture.connect.offsets(capture.eventlog.name), what="a stored place")
        stack.take_down("connect")
        lost = capture.log(rows=70)
        for _ in range(8):
            capture.admin.execute("CREATE TABLE busy AS SELECT repeat('x', 1000) FROM generate_series(1, 16000)")
            capture.admin.execute("DROP TABLE busy")
            capture.admin.execute("CHECKPOINT")
        assert capture.slot().is_lost
        stack.bring_up("connect")
        # Debezium tries again for half an hour, and its task looks well meanwhile: only the slot tells.
        time.sleep(3)
        findings = capture.findings()
        assert "is lost: its write-ahead log is gone" in findings[0].problem
        assert {finding.fix for finding in findings} == {"omero-mq repair"}
        with capture.parts() as parts:
            done = repair(parts)
        with capture.parts("reindexing") as parts:
            repair_without_rows(parts)
        assert (done.reread, done.missing) == (70, 0)
        after = capture.log(rows=5)
        capture.await_ids(after)
        assert set(capture.ids()) == {*seen, *lost, *after}
        until(lambda: not capture.findings() and not capture.findings("reindexing"), what="health")
