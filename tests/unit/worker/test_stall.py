"""When a worker counts as standing still."""

from pipeline.worker.watchdog import Stall

PLACE = ("a", 0)


def looks(stall, *seen):
    return [
        stall.look(now_s=now_s, committed={PLACE: committed}, ends={PLACE: end}, excused=excused)
        for now_s, committed, end, excused in seen
    ]


def test_work_that_waits_while_nothing_is_committed_is_a_standstill():
    assert looks(Stall(after_s=10), (0, 5, 9, False), (9, 5, 9, False), (10, 5, 12, False)) == [None, None, 10]


def test_a_commit_begins_the_time_anew():
    assert looks(Stall(after_s=10), (0, 5, 9, False), (9, 6, 9, False), (18, 6, 9, False), (19, 6, 9, False)) == [None] * 3 + [10]


def test_who_has_nothing_to_do_never_stands_still():
    assert looks(Stall(after_s=10), (0, 9, 9, False), (100, 9, 9, False), (101, 9, 10, False), (109, 9, 10, False)) == [None] * 4


def test_an_excuse_begins_the_time_anew():
    assert looks(Stall(after_s=10), (0, 5, 9, False), (50, 5, 9, True), (59, 5, 9, False), (60, 5, 9, False)) == [None] * 3 + [10]


def test_new_partitions_begin_the_time_anew():
    stall = Stall(after_s=10)
    assert stall.look(now_s=0, committed={PLACE: 5}, ends={PLACE: 9}, excused=False) is None
    both = {PLACE: 5, ("a", 1): 0}
    assert stall.look(now_s=20, committed=both, ends={PLACE: 9, ("a", 1): 3}, excused=False) is None


def test_who_has_no_partitions_never_stands_still():
    stall = Stall(after_s=10)
    assert [stall.look(now_s=now_s, committed={}, ends={}, excused=False) for now_s in (0, 100)] == [None, None]
