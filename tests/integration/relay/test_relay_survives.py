"""Two relays that share the partitions, killed, asked to stop, frozen and started again while a facility works."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from .facility import IMAGE, until

pytestmark = [pytest.mark.stack, pytest.mark.chaos]

SEED = int(os.environ.get("OMERO_MQ_TEST_SEED", "4711"))
DISTURBANCES = int(os.environ.get("OMERO_MQ_TEST_DISTURBANCES", "12"))


class Relays:
    """Processes of `omero-mq run relay`."""

    def __init__(self, settings, count, log):
        self._environment = {
            **os.environ,
            "OMERO_MQ_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
            "OMERO_MQ_KAFKA_PREFIX": settings.kafka.prefix,
            **{
                f"OMERO_MQ_OMERO_{name.upper()}": str(getattr(settings.omero, name))
                for name in ("host", "port", "database", "user")
            },
            **{
                f"OMERO_MQ_STATE_{name.upper()}": str(getattr(settings.state, name))
                for name in ("host", "port", "database", "user")
            },
            "OMERO_MQ_OMERO_PASSWORD": settings.omero.password,
            "OMERO_MQ_STATE_PASSWORD": settings.state.password,
        }
        self._log = log
        self.processes = [self._start() for _ in range(count)]

    def _start(self):
        return subprocess.Popen([sys.executable, "-m", "pipeline", "run", "relay"], env=self._environment, stderr=self._log)

    def kill(self, place):
        self.processes[place].kill()
        self.processes[place].wait()
        self.processes[place] = self._start()

    def terminate(self, place):
        self.processes[place].terminate()
        assert self.processes[place].wait(20) == 0
        self.processes[place] = self._start()

    def freeze(self, place):
        self.processes[place].send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        self.processes[place].send_signal(signal.SIGCONT)

    def end(self):
        for process in self.processes:
            process.terminate()
        return [process.wait(30) for process in self.processes]


def work(facility, done):
    """Images made, moved and deleted, each change in a transaction of its own."""
    images = []
    chance = random.Random(SEED)
    while not done.is_set():
        if len(images) < 5 or chance.random() < 0.3:
            images.append(facility.new_image(owner=chance.randrange(2), group=chance.randrange(3)))
        elif chance.random() < 0.8:
            image = chance.choice(images)
            group = chance.randrange(3)
            facility.change_image(image, "UPDATE image SET group_id = %s WHERE id = %s", group, image)
        else:
            image = images.pop(chance.randrange(len(images)))
            facility.change_image(image, "DELETE FROM image WHERE id = %s", image, action="DELETE")
        time.sleep(0.01)


@pytest.mark.timeout(300)
def test_every_committed_row_becomes_an_event_in_order_whatever_is_killed(facility, tmp_path):
    chance = random.Random(SEED)
    done = threading.Event()
    worker = threading.Thread(target=work, args=(facility, done))
    with (tmp_path / "relays.log").open("wb") as log:
        relays = Relays(facility.settings, 2, log)
        try:
            worker.start()
            until(facility.events)
            for _ in range(DISTURBANCES):
                disturb = chance.choice([relays.kill, relays.terminate, relays.freeze])
                disturb(chance.randrange(2))
                time.sleep(chance.uniform(0.2, 2.0))
        finally:
            done.set()
            worker.join()
            rows = facility.sql("SELECT id, entityid, action FROM eventlog WHERE entitytype = %s ORDER BY id", IMAGE)
            wanted = {f"eventlog:{id_}" for id_, _, _ in rows}
            until(lambda: {event.id for event in facility.events()} >= wanted, within_s=60)
            statuses = relays.end()
    events = facility.events()
    assert {event.id for event in events} == wanted
    assert len({event.source for event in events}) == 1
    told = {}
    for event in facility.event_records():
        told.setdefault(event.subject, {}).setdefault(event.id, event)
    assert {subject: list(ids) for subject, ids in told.items()} == _in_order(rows)
    for history in told.values():
        # An image that came and went while the relay was behind was never seen, and nobody can say any more whose it was.
        owners = [event.owner for event in history.values()]
        assert owners == [owners[-1]] * len(owners)
    assert facility.letters() == []
    assert statuses == [0, 0]
    assert facility.committed() == len(facility.sent)


def _in_order(rows):
    order = {}
    for id_, image, _ in rows:
        order.setdefault(f"Image:{image}", []).append(f"eventlog:{id_}")
    return order
