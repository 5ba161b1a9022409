from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.attempt import Attempts, GiveUp, RetryAfter, StopService, WaitFor
from pipeline.delivery.classify import Classifier
from pipeline.delivery.retry import RetryPolicy
from pipeline.errors import DependencyDown, Halt, Misconfigured, Permanent, Transient

POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 12),
    base_s=st.floats(0, 10),
    cap_s=st.floats(0, 60),
    dependency_base_s=st.floats(0.01, 2),
    dependency_cap_s=st.floats(0.01, 30),
)
CHANCE = st.floats(0, 1, exclude_max=True)
COUNTED = st.sampled_from([Transient("t"), TimeoutError(), ConnectionError()])
AWAY = st.builds(DependencyDown, st.sampled_from(["kafka", "omero-database"]), st.just("refused"))


def attempts(policy: RetryPolicy, chance: float) -> Attempts:
    return Attempts(policy=policy, classifier=Classifier(), random=lambda: chance)


@given(POLICIES, CHANCE, st.lists(AWAY, max_size=200))
def test_waiting_for_a_dependency_spends_no_attempt(policy: RetryPolicy, chance: float, failures: list[Exception]) -> None:
    these = attempts(policy, chance)

    steps = [these.failed(failure) for failure in failures]

    assert all(isinstance(step, WaitFor) for step in steps)
    assert [step.dependency for step in steps] == [failure.name for failure in failures]
    assert all(0 < step.wait_s <= policy.dependency_cap_s for step in steps)
    assert (these.failed_attempts, these.timeouts) == (0, 0)


@given(POLICIES, CHANCE, st.data())
def test_failures_that_count_end_in_a_letter_after_exactly_so_many_attempts(
    policy: RetryPolicy, chance: float, data: st.DataObject
) -> None:
    these = attempts(policy, chance)
    counted = 0
    steps = []
    for failure in data.draw(st.lists(st.one_of(COUNTED, AWAY), max_size=60)):
        steps.append((failure, these.failed(failure)))
        counted += not isinstance(failure, DependencyDown)
        if counted == policy.attempts:
            break

    given_up = [step for _, step in steps if isinstance(step, GiveUp)]
    assert len(given_up) == (counted == policy.attempts)
    assert these.failed_attempts == counted
    assert these.timeouts == sum(isinstance(failure, TimeoutError) for failure, _ in steps)


@given(POLICIES, CHANCE, st.integers(1, 2000))
def test_waits_are_within_their_bounds(policy: RetryPolicy, chance: float, failures: int) -> None:
    bound = min(policy.cap_s, policy.base_s * 2.0 ** min(failures - 1, 60))

    assert 0 <= policy.retry_wait_s(failures, lambda: chance) <= bound <= policy.cap_s
    assert 0 < policy.dependency_wait_s(failures, lambda: chance) <= policy.dependency_cap_s


@given(POLICIES, st.sampled_from([Halt("epoch"), Misconfigured("topic")]))
def test_what_only_a_person_can_mend_stops_the_service_at_any_time(policy: RetryPolicy, failure: Exception) -> None:
    these = attempts(policy, 0.5)
    these.failed(DependencyDown("kafka", "x"))

    assert these.failed(failure) == StopService()
    assert these.failed_attempts == 0


def test_what_can_never_succeed_is_not_tried_again() -> None:
    assert attempts(RetryPolicy(attempts=5), 0.5).failed(Permanent("no")) == GiveUp(letter_class="poison")


def test_the_letter_says_whether_time_ran_out_or_something_else_went_on_failing() -> None:
    policy = RetryPolicy(attempts=2, base_s=1)
    late, broken = attempts(policy, 0.25), attempts(policy, 0.25)

    assert [late.failed(TimeoutError()) for _ in range(2)] == [RetryAfter(wait_s=0.25), GiveUp(letter_class="timeout")]
    assert [broken.failed(Transient("x")) for _ in range(2)] == [
        RetryAfter(wait_s=0.25),
        GiveUp(letter_class="transient-exhausted"),
    ]


def test_jitter_uses_the_whole_range_so_that_crowds_scatter() -> None:
    policy = RetryPolicy(base_s=1, cap_s=8)

    assert [policy.retry_wait_s(n, lambda: 0.999) for n in (1, 2, 3, 4, 9)] == [0.999, 1.998, 3.996, 7.992, 7.992]
    assert policy.retry_wait_s(9, lambda: 0.0) == 0
