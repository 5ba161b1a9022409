"""Looking after OMERO's database while no row comes."""

import pytest

from pipeline.errors import DependencyDown, EpochChanged
from pipeline.relay.start import LOOK_EVERY_S, Watch


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


def test_it_looks_now_and_then_and_passes_on_what_needs_a_person():
    clock, answers = Clock(), iter([None, DependencyDown("omero-database", "restarting"), EpochChanged("another")])
    looked = []

    def look():
        looked.append(clock.now_s)
        if (answer := next(answers)) is not None:
            raise answer

    watch = Watch(look, now_s=clock)
    watch.check()
    assert looked == []
    for _ in range(2):
        clock.now_s += LOOK_EVERY_S
        watch.check()
        watch.check()
    assert looked == [105.0, 110.0]
    clock.now_s += LOOK_EVERY_S
    with pytest.raises(EpochChanged, match="another"):
        watch.check()
