import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from netra_sim.backend.reliability.breaker import BareBreaker
from netra_sim.backend.reliability.deadline import deadline
from netra_sim.backend.reliability.policy import TABLE, Policy, Row, Unavailable
from netra_sim.kernel.clock import ManualClock

ROW = Row(timeout=0.05, tries=3, backoff=1.0, backoff_cap=8.0, pause=1.0, pause_cap=5.0)
PROTECTIONS = {"deadline", "retry", "breaker", "timeout", "budget"}


class Passing(Exception):
    """Worth another try."""

    def __init__(self, retry_after: float = 0.0) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class Final(Exception):
    """Not worth another try."""


class Dependency:
    """Answers with what it was told to, in order; the last answer stays."""

    def __init__(self, *answers: BaseException | str) -> None:
        self.answers, self.calls = list(answers), 0

    async def __call__(self) -> str:
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        if answer == "hang":
            await asyncio.Event().wait()
        return answer


class Ticking(ManualClock):
    """Sleeps take no time of ours, but are remembered and move this clock."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.advance(seconds)


def policy(clock: ManualClock | None = None, row: Row = ROW, **more: Any) -> Policy:
    def transient(error: BaseException) -> bool:
        return isinstance(error, Passing | TimeoutError)

    return Policy("store", row, clock=clock or Ticking(), rng=random.Random(1), transient=transient, **more)


async def outcome(run: Awaitable[str]) -> str | Unavailable:
    try:
        return await run
    except Unavailable as error:
        return error


async def test_a_passing_failure_is_tried_again_with_growing_waits():
    clock, store = Ticking(), Dependency(Passing(), Passing(), "ok")
    assert await policy(clock).run(store) == "ok"
    assert store.calls == 3
    assert 0 <= clock.slept[0] <= 1
    assert 0 <= clock.slept[1] <= 2


async def test_when_all_tries_are_spent_it_says_so():
    store = Dependency(Passing())
    error = await outcome(policy().run(store))
    assert isinstance(error, Unavailable)
    assert (error.dependency, error.attempts, error.cause, error.retry_after) == ("store", 3, "Passing", 1.0)
    assert isinstance(error.__cause__, Passing)


async def test_a_final_error_goes_through_at_once_and_does_not_count_against_the_dependency():
    p, store = policy(), Dependency(Final())
    for _ in range(30):
        with pytest.raises(Final):
            await p.run(store)
    assert store.calls == 30
    assert p.breaker.state == "closed"


async def test_what_may_not_be_repeated_is_not():
    store = Dependency(Passing(), "ok")
    error = await outcome(policy().run(store, repeatable=False))
    assert isinstance(error, Unavailable)
    assert (error.attempts, store.calls) == (1, 1)


async def test_the_servers_retry_after_is_honoured():
    clock = Ticking()
    assert await policy(clock).run(Dependency(Passing(retry_after=7.0), "ok")) == "ok"
    assert clock.slept == [7.0]


async def test_a_wait_that_the_deadline_does_not_allow_is_not_begun():
    clock, store = Ticking(), Dependency(Passing(retry_after=7.0), "ok")
    with deadline(5):
        assert isinstance(await outcome(policy(clock).run(store)), Unavailable)
    assert (clock.slept, store.calls) == ([], 1)


async def test_each_attempt_has_its_own_timeout():
    store = Dependency("hang", "ok")
    assert await policy().run(store) == "ok"
    assert store.calls == 2


async def test_the_deadline_is_outermost_it_cuts_an_attempt_short():
    store = Dependency("hang")
    row = Row(60.0, 3, 1.0, 8.0, 1.0, 5.0)
    with deadline(0.02):
        error = await outcome(policy(row=row).run(store))
    assert isinstance(error, Unavailable)
    assert store.calls == 1


async def test_a_passed_deadline_lets_nothing_out_and_is_not_the_dependencys_fault():
    p, store = policy(), Dependency("ok")
    with deadline(0):
        for _ in range(20):
            error = await outcome(p.run(store))
            assert isinstance(error, Unavailable)
            assert (error.cause, error.attempts) == ("deadline passed", 0)
    assert (store.calls, p.breaker.state) == (0, "closed")
    assert await p.run(store) == "ok"


async def test_an_attempt_that_the_deadline_cut_does_not_count_against_the_dependency():
    p = policy(row=Row(60.0, 1, 1.0, 8.0, 1.0, 5.0))
    for _ in range(12):
        with deadline(0.002):
            assert isinstance(await outcome(p.run(Dependency("hang"))), Unavailable)
    assert p.breaker.state == "closed"


async def test_each_retry_passes_the_breaker():
    """Retry stands outside the breaker: once it opens, the tries that are left do not reach the dependency."""
    p, store = policy(row=Row(1, 20, 0.0, 0.0, 1.0, 5.0)), Dependency(Passing())
    error = await outcome(p.run(store))
    assert isinstance(error, Unavailable)
    assert (store.calls, error.cause) == (8, "breaker open")
    assert 0 < error.retry_after <= 1.0


async def test_timeouts_stand_inside_the_breaker_and_are_counted():
    p, store = policy(row=Row(0.001, 1, 0, 0, 1.0, 5.0)), Dependency("hang")
    for _ in range(12):
        assert isinstance(await outcome(p.run(store)), Unavailable)
    assert (store.calls, p.breaker.state) == (8, "open")


async def test_a_cancelled_probe_leaves_its_place_to_the_next_call():
    clock = ManualClock()
    p = policy(clock, row=Row(60, 1, 0, 0, 1.0, 5.0))
    for _ in range(8):
        await outcome(p.run(Dependency(Passing())))
    await clock.advance(1)
    probe = asyncio.create_task(p.run(Dependency("hang")))
    await asyncio.sleep(0)
    assert p.breaker.state == "half_open"
    refused = await outcome(p.run(Dependency("ok")))
    assert isinstance(refused, Unavailable)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert await p.run(Dependency("ok")) == "ok"
    assert p.breaker.state == "closed"


async def test_an_attempt_from_before_the_opening_does_not_pass_for_the_probe():
    clock = ManualClock()
    p = policy(clock, row=Row(60, 1, 0, 0, 1.0, 5.0))
    release = asyncio.Event()

    async def slow() -> str:
        await release.wait()
        raise Passing

    old = asyncio.create_task(outcome(p.run(slow)))
    await asyncio.sleep(0)
    for _ in range(8):
        await outcome(p.run(Dependency(Passing())))
    await clock.advance(1)
    probe = asyncio.create_task(p.run(Dependency("hang")))
    await asyncio.sleep(0)
    release.set()
    await old
    assert p.breaker.state == "half_open"
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)


async def test_retries_share_a_budget():
    p, store = policy(row=Row(1, 2, 0.0, 0.0, 1.0, 5.0), without={"breaker"}), Dependency(Passing())
    for _ in range(40):
        await outcome(p.run(store))
    assert store.calls < 1.6 * 40
    free = policy(row=Row(1, 2, 0.0, 0.0, 1.0, 5.0), without={"breaker", "budget"})
    store.calls = 0
    for _ in range(40):
        await outcome(free.run(store))
    assert store.calls == 80


async def test_times_scale():
    p = policy(scale=0.1)
    error = await outcome(p.run(Dependency(Passing())))
    assert isinstance(error, Unavailable)
    assert error.retry_after == pytest.approx(0.1)


async def test_changes_of_the_breaker_are_told():
    told: list[tuple[str, str]] = []
    p = policy(row=Row(1, 1, 0, 0, 1.0, 5.0), tell=lambda name, state: told.append((name, state)))
    for _ in range(8):
        await outcome(p.run(Dependency(Passing())))
    assert told == [("store", "open")]


# Each protection, tried by a probe that tells whether it is there.


async def has_retry(p: Policy) -> bool:
    return await outcome(p.run(Dependency(Passing(), "ok"))) == "ok"


async def has_breaker(p: Policy) -> bool:
    store = Dependency(Passing())
    for _ in range(20):
        await outcome(p.run(store, repeatable=False))
    return store.calls < 20


async def has_timeout(p: Policy) -> bool:
    task = asyncio.create_task(outcome(p.run(Dependency("hang"), repeatable=False)))
    done, _ = await asyncio.wait([task], timeout=0.15)
    task.cancel()
    return bool(done)


async def has_deadline(p: Policy) -> bool:
    store = Dependency("ok")
    with deadline(-1):
        await outcome(p.run(store))
    return store.calls == 0


async def has_budget(p: Policy) -> bool:
    store = Dependency(*[Passing(), "ok"] * 40, "ok")  # never 8 failures in a row, but half of them
    granted, p.breaker = 0, BareBreaker()  # a breaker would open at so many
    for _ in range(20):
        granted += await outcome(p.run(store)) == "ok"
    return granted < 20 or store.calls < 40


PROBES: dict[str, Callable[[Policy], Awaitable[bool]]] = {
    "retry": has_retry,
    "breaker": has_breaker,
    "timeout": has_timeout,
    "deadline": has_deadline,
    "budget": has_budget,
}


@pytest.mark.parametrize("removed", [None, *sorted(PROTECTIONS)])
async def test_each_without_removes_exactly_its_protection(removed: str | None):
    without = {removed} if removed else set()
    there = {name for name, probe in PROBES.items() if await probe(policy(without=without))}
    expected = PROTECTIONS - without
    if removed == "retry":
        expected -= {"budget"}  # without retries there is nothing to budget
        there -= {"budget"}
    assert there == expected


def test_every_dependency_has_its_row():
    assert set(TABLE) == {"postgres", "redis", "clickhouse", "llm", "llm_fallback", "tool"}
    for row in TABLE.values():
        assert 0 < row.backoff <= row.backoff_cap
        assert 0 < row.pause <= row.pause_cap
        assert row.tries >= 1
