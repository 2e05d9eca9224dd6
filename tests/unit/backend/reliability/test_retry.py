import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.backend.reliability.retry import Backoff, BareBudget, Budget
from netra_sim.kernel.clock import ManualClock


@given(st.integers(1, 6), st.floats(0.01, 1), st.integers(0, 2**32))
def test_waits_have_full_jitter_below_a_doubling_ceiling(tries: int, first: float, seed: int):
    backoff, rng = Backoff(tries, first, 4 * first), random.Random(seed)
    waits = [backoff.wait(attempt, rng) for attempt in range(1, tries + 1)]
    assert waits[-1] is None
    for attempt, wait in enumerate(waits[:-1]):
        assert wait is not None
        assert 0 <= wait <= min(4, 2**attempt) * first


def test_waits_differ_and_use_the_whole_range():
    rng = random.Random(1)
    waits = [Backoff(2, 1.0, 1.0).wait(1, rng) or 0.0 for _ in range(200)]
    assert min(waits) < 0.1
    assert max(waits) > 0.9


@pytest.mark.parametrize(("calls", "granted"), [(0, 10), (10, 10), (20, 10), (30, 15), (100, 50)])
def test_retries_are_half_of_the_calls_and_always_a_few(calls: int, granted: int):
    budget = Budget(ManualClock())
    for _ in range(calls):
        budget.called()
    assert [budget.grant() for _ in range(granted + 1)] == [True] * granted + [False]


async def test_the_window_slides():
    clock = ManualClock()
    budget = Budget(clock)
    for _ in range(100):
        budget.called()
    assert sum(budget.grant() for _ in range(60)) == 50
    await clock.advance(10.1)
    assert sum(budget.grant() for _ in range(60)) == 10


async def test_a_budget_that_is_never_asked_does_not_grow():
    clock = ManualClock()
    budget = Budget(clock)
    for _ in range(30):
        budget.called()
        await clock.advance(1)
    assert len(budget._calls) <= 11


def test_no_budget_grants_all():
    bare = BareBudget()
    bare.called()
    assert all(bare.grant() for _ in range(1000))
