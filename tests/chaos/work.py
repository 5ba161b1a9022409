"""People at work in the database while everything around it is disturbed; a connection that breaks is made again."""

import itertools
import threading
import time
from contextlib import ExitStack, closing, contextmanager

import psycopg

from pipeline.demo.facility import WEIGHTS, Facility, Size
from pipeline.demo.simulator.history import ROOT
from pipeline.demo.simulator.import_image import import_image
from pipeline.demo.simulator.import_plate import PlateSize
from pipeline.demo.simulator.out_of_order import out_of_order
from pipeline.demo.simulator.server import Server

ACTIONS_PER_S = 60
# Plates make transactions of hundreds of rows, so that a kill finds the relay in the middle of something.
PLATES = Size(plate=PlateSize(rows=4, columns=6, fields=2))
BUSY = {**WEIGHTS, "import plate": 2.0}


# Uuids come from the seed, and no two sessions may have the same one.
SEEDS = itertools.count(1_000_000_000)


class Work:
    """A facility, and a pair of servers whose calls overlap and commit in the opposite order of their ids."""

    def __init__(self, dsn, *, seed):
        self._dsn = dsn
        self._seeds = itertools.count(seed * 1000)
        self._stop = threading.Event()
        self._errors = []
        self.actions = 0
        self._threads = [threading.Thread(target=self._patiently, args=(what,)) for what in (self._live, self._overlap)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self._errors == []

    def _patiently(self, work):
        while not self._stop.is_set():
            try:
                work()
            except psycopg.Error:  # the database is away, or ended the session
                self._stop.wait(0.2)
            except Exception as error:
                self._errors.append(error)
                return

    def _live(self):
        with Server.connect(self._dsn, seed=next(self._seeds)) as server:
            facility = Facility(server, size=PLATES, weights=BUSY)
            for _ in facility.settle():
                self.actions += 1
            while not self._stop.wait(1 / ACTIONS_PER_S):
                with closing(facility.act()) as deeds:
                    for _ in deeds:
                        self.actions += 1

    def _overlap(self):
        with two_servers(self._dsn, seed=next(self._seeds)) as (slow, fast):
            images = imported(slow, 4)
            while not self._stop.wait(0.5):
                for _ in out_of_order(slow, fast, ROOT, images[:3], images[3], hold_s=0.1):
                    self.actions += 1


@contextmanager
def two_servers(dsn, *, seed):
    with ExitStack() as both:
        yield tuple(both.enter_context(Server.connect(dsn, seed=seed * 10 + number)) for number in range(2))


def imported(server, count):
    """Ids of so many new images of root's."""
    found = []
    for _ in range(count):
        deeds = list(import_image(server, ROOT))
        found += [int(name.removeprefix("Image:")) for done in deeds for name in done.objects if name.startswith("Image:")][:1]
    return found


def some_work(dsn, *, actions=5):
    """A few actions, one after another; returns when they are committed."""
    with Server.connect(dsn, seed=next(SEEDS)) as server:
        facility = Facility(server)
        for _ in facility.settle():
            pass
        for _ in facility.work(actions):
            pass
    return time.time_ns()
