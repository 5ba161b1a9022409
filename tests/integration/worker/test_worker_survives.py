"""Workers killed, stopped, frozen and joined by others: every record is seen, and no offset ever passes an unfinished one."""

import os
import random
import signal
import threading
import time

import pytest

from .site import CODECS

pytestmark = [pytest.mark.stack, pytest.mark.chaos]

SEED = int(os.environ.get("OMERO_MQ_CHAOS_SEED", "1"))
DISTURBANCES = int(os.environ.get("OMERO_MQ_CHAOS_DISTURBANCES", "12"))
FROZEN_S = 9.0  # longer than the session timeout of 6 s: the group goes on without the frozen one


class Feeder:
    """Writes records all the time, with each codec in turn."""

    def __init__(self, site):
        self.site = site
        self.ended = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            turn = 0
            while not self.ended.wait(0.2):
                self.site.send(100, codec=CODECS[turn % len(CODECS)])
                turn += 1
        except BaseException as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        assert self.error is None


class Chaos:
    """Two workers, to which things happen; the same for the same seed, but for the moments."""

    def __init__(self, site, seed, **config):
        self.site = site
        self.config = config
        self.random = random.Random(seed)
        self.workers = [site.start(**config) for _ in range(2)]

    def disturb(self, number):
        # Freezing takes the longest and finds the most: the second and then each fifth time.
        kinds = [self.freeze] if number % 5 == 1 else [self.terminate, self.kill, self.join]
        one = self.random.choice(kinds)
        one(self.random.randrange(2))
        print(f"disturbance {number}: {one.__name__}")

    def terminate(self, index):
        # -SIGTERM: it hit a process that had only just been started and did not listen yet.
        begun = self.workers[index].events() != []
        self.replace(index, signal.SIGTERM, expected={0} if begun else {0, -signal.SIGTERM})

    def kill(self, index):
        self.replace(index, signal.SIGKILL, expected={-signal.SIGKILL})

    def replace(self, index, signum, *, expected):
        assert self.workers[index].end(signum) in expected, self.site.trouble()
        self.workers[index] = self.site.start(**self.config)

    def join(self, _index):
        third = self.site.start(**self.config)
        self.site.until(lambda: "worker.ready" in third.events(), within_s=15)
        assert third.end() == 0, self.site.trouble()  # also when it stood in the middle of a rebalance

    def freeze(self, index):
        self.workers[index].send(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        self.workers[index].send(signal.SIGCONT)


@pytest.mark.timeout(60 + 20 * DISTURBANCES)
@pytest.mark.parametrize(("kind", "most_ms", "share"), [("batch", 150, 1.0), ("record", 3, 0.5)])
def test_every_record_is_seen_whatever_is_killed(site, kind, most_ms, share):
    chaos = Chaos(site, SEED, kind=kind, most_ms=most_ms, rows=200)
    with Feeder(site):
        site.until_some(500)
        for number in range(max(1, round(DISTURBANCES * share))):
            time.sleep(chaos.random.random() * 1.5)
            chaos.disturb(number)
            assert site.passed_over() == []
    site.until_caught_up(within_s=90)
    assert site.passed_over() == []
    assert {place: set(offsets) for place, offsets in site.done().items()} == {
        place: set(range(end)) for place, end in site.ends().items()
    }
    assert sum(site.ends().values()) == site.sent
    for worker in chaos.workers:
        assert worker.process.poll() is None, site.trouble()
        assert worker.end() == 0
    repeated = sum(map(len, site.done().values())) - site.sent
    print(f"{site.sent} records, {repeated} done again")
    assert repeated < site.sent, "nearly everything was repeated: offsets hardly move"
