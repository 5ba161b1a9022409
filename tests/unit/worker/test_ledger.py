"""The books of what was handed out: whatever order effects finish in, offsets move only over a prefix that is finished."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.record import Record
from pipeline.worker.ledger import NOT_OURS, Ledger

PLACES = [("a", 0), ("a", 1), ("b", 0)]


def record(place, offset):
    return Record(topic=place[0], partition=place[1], offset=offset, key=None, value=None)


def taken(ledger, place, *offsets):
    return [ledger.take(*place, offset) for offset in offsets]


# Each partition: where the group stands, and how far each record is from the one before it (transactions leave holes).
partitions = st.fixed_dictionaries(
    {place: st.tuples(st.integers(0, 5), st.lists(st.integers(1, 3), max_size=12)) for place in PLACES}
)


@given(partitions, st.randoms(use_true_random=False), st.data())
def test_committed_is_always_the_longest_finished_prefix(partitions, random, data):
    ledger = Ledger()
    ledger.begin({place: start for place, (start, _) in partitions.items()})
    todo, handed_out, finished = {}, {place: [] for place in PLACES}, {place: set() for place in PLACES}
    committed = {place: start for place, (start, _) in partitions.items()}
    for place, (start, steps) in partitions.items():
        offset, todo[place] = start - 1, []
        for step in steps:
            offset += step
            todo[place].append(offset)
    for _ in range(data.draw(st.integers(0, 80))):
        place = random.choice(PLACES)
        unfinished = [offset for offset in handed_out[place] if offset not in finished[place]]
        if todo[place] and random.random() < 0.5:
            offset = todo[place].pop(0)
            assert ledger.take(*place, offset) >= 0
            handed_out[place].append(offset)
        elif unfinished:
            some = random.sample(unfinished, random.randint(1, len(unfinished)))
            finished[place].update(some)
            ledger.finish([record(place, offset) for offset in some])
        moved = ledger.advance()
        for at, offset in moved.items():
            assert offset > committed[at]
        committed |= moved
        for at in PLACES:
            open_ = [offset for offset in handed_out[at] if offset not in finished[at]]
            before = [offset for offset in handed_out[at] if not open_ or offset < open_[0]]
            assert committed[at] == (before[-1] + 1 if before else partitions[at][0])
    assert ledger.unfinished == sum(sum(offset >= committed[place] for offset in handed_out[place]) for place in PLACES)


def test_the_first_record_of_a_partition_must_be_the_one_that_the_group_stands_at():
    ledger = Ledger()
    ledger.begin({("a", 0): 10})
    assert taken(ledger, ("a", 0), 13, 14, 17) == [3, 0, 2]


def test_what_was_handed_out_before_or_belongs_to_others_is_left():
    ledger = Ledger()
    ledger.begin({("a", 0): 10})
    assert taken(ledger, ("a", 0), 10, 11, 10, 9, 12) == [0, 0, NOT_OURS, NOT_OURS, 0]
    assert taken(ledger, ("a", 1), 0) == [NOT_OURS]
    assert ledger.unfinished == 3


def test_finishing_what_was_never_handed_out_or_is_committed_already_moves_nothing():
    ledger = Ledger()
    ledger.begin({("a", 0): 0})
    taken(ledger, ("a", 0), 0, 1)
    ledger.finish([record(("a", 0), 7), record(("b", 0), 0), record(("a", 0), 0)])
    assert ledger.advance() == {("a", 0): 1}
    ledger.finish([record(("a", 0), 0)])
    assert ledger.advance() == {}


def test_new_books_know_nothing_of_the_old_ones():
    ledger = Ledger()
    ledger.begin({("a", 0): 0, ("a", 1): 0})
    taken(ledger, ("a", 0), 0, 1)
    ledger.begin({("a", 0): 1})
    assert ledger.places == {("a", 0)}
    ledger.finish([record(("a", 0), 0), record(("a", 0), 1)])  # of the old books
    assert ledger.advance() == {}
    assert taken(ledger, ("a", 0), 1) == [0]
    ledger.close()
    ledger.finish([record(("a", 0), 1)])
    assert ledger.advance() == {}
    assert ledger.places == frozenset()
