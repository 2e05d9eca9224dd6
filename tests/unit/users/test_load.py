"""Open-loop arrivals, by a clock that the test moves."""

import asyncio
import statistics
from itertools import pairwise

import pytest

from netra_sim.kernel.clock import ManualClock
from netra_sim.kernel.history import HistoryWriter
from netra_sim.kernel.rng import Rng
from netra_sim.users.load import LoadReport, arrivals, drive

PLAN = [(1.0, 1), (2.0, 2), (4.0, 3)]


class Lives:
    """Lives that last until they are released."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.ended: list[int] = []
        self.release = asyncio.Event()

    async def __call__(self, number: int) -> None:
        self.started.append(number)
        try:
            await self.release.wait()
        finally:
            self.ended.append(number)


def test_arrivals_are_seeded_ordered_and_move_nobody():
    plan = arrivals(Rng(7), 50, 10.0)
    assert plan == arrivals(Rng(7), 50, 10.0)
    assert plan == sorted(plan)
    assert {number for _, number in plan} == set(range(1, 51))
    more = {number: at for at, number in arrivals(Rng(7), 60, 10.0)}
    assert all(more[number] == at for at, number in plan)


def test_arrivals_spread_like_a_poisson_process():
    times = [at for at, _ in arrivals(Rng(7), 2000, 100.0)]
    gaps = [b - a for a, b in pairwise(times)]
    assert statistics.mean(gaps) == pytest.approx(0.05, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.1)


def test_a_window_of_zero_is_all_at_once():
    assert {at for at, _ in arrivals(Rng(7), 5, 0)} == {0.0}


async def test_users_arrive_on_time_whatever_the_system_does():
    clock, lives = ManualClock(), Lives()
    writer = HistoryWriter(clock)
    task = asyncio.create_task(drive(PLAN, lives, writer, drain_s=10))
    seen = []
    for _ in range(4):
        await clock.advance(1.0)
        seen.append(list(lives.started))
    assert seen == [[1], [1, 2], [1, 2], [1, 2, 3]]
    lives.release.set()
    await clock.advance(0)
    assert await task == LoadReport(planned=3, started=3, finished=3, cut=0, late_s=0.0)
    (started,), (ended,) = writer.freeze().seen("load_started"), writer.freeze().seen("load_ended")
    assert started.value == {"users": 3, "planned_arrivals": 3}
    assert (ended.value["users"], ended.value["planned_arrivals"], ended.value["cut"]) == (3, 3, 0)


async def test_the_drain_has_a_bound():
    clock, lives = ManualClock(), Lives()
    task = asyncio.create_task(drive(PLAN, lives, HistoryWriter(clock), drain_s=10))
    await clock.advance(13.9)
    assert not task.done()
    await clock.advance(0.1)
    report = await task
    assert (report.finished, report.cut) == (0, 3)
    assert sorted(lives.ended) == [1, 2, 3]


async def test_the_drain_counts_from_an_event_and_waits_for_it_no_longer_than_itself():
    for come, until in ((8.0, 18.0), (99.0, 24.0)):  # the last user arrives at 4
        clock, lives = ManualClock(), Lives()
        since = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(drive(PLAN, lives, HistoryWriter(clock), 10, since))
        await clock.advance(min(come, until - 0.1))
        if come < until:
            since.set_result(None)
            await clock.advance(until - 0.1 - come)
        assert not task.done()
        await clock.advance(0.1)
        assert (await task).cut == 3


async def test_cancelling_ends_all_lives():
    clock, lives = ManualClock(), Lives()
    writer = HistoryWriter(clock)
    task = asyncio.create_task(drive(PLAN, lives, writer, drain_s=10))
    await clock.advance(2.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(lives.ended) == [1, 2]
    (ended,) = writer.freeze().seen("load_ended")
    assert (ended.value["started"], ended.value["cut"]) == (2, 2)


async def test_a_defect_of_a_life_ends_the_load_and_is_told():
    clock = ManualClock()

    async def broken(number: int) -> None:
        raise ZeroDivisionError(number)

    task = asyncio.create_task(drive(PLAN, broken, HistoryWriter(clock), drain_s=10))
    await clock.advance(1.5)
    with pytest.raises(ExceptionGroup, match="unhandled") as raised:
        await task
    assert raised.group_contains(ZeroDivisionError)


async def test_no_users_is_a_load_too():
    report = await drive([], Lives(), HistoryWriter(ManualClock()), drain_s=10)
    assert report == LoadReport(0, 0, 0, 0, 0.0)
