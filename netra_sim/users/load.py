"""Open-loop load: users arrive when the plan says, whatever the system does with those before them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

from netra_sim.kernel.clock import Clock
from netra_sim.kernel.history import HistoryWriter, Record
from netra_sim.kernel.rng import Rng

Life = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of the planned users; `cut` sessions outlived the drain, `late_s` is the latest arrival's delay."""

    planned: int
    started: int
    finished: int
    cut: int
    late_s: float


def arrivals(rng: Rng, users: int, window_s: float) -> list[tuple[float, int]]:
    """When each user arrives: (seconds after the start, number from 1), in order of time; a window of 0 is all at once.

    Poisson arrivals, given that `users` come within the window, are independent and uniform in it (Ross, Stochastic
    Processes, 2.3); so each draws his own time, and a further user moves nobody.
    """
    numbers = range(1, users + 1)
    return sorted((rng.child("user", n).stream("arrival").uniform(0, window_s), n) for n in numbers)


async def drive(
    plan: Sequence[tuple[float, int]],
    life: Life,
    history: HistoryWriter,
    drain_s: float,
    since: asyncio.Future[Record] | None = None,
) -> LoadReport:
    """Start `life(number)` for each arrival, then wait at most `drain_s` seconds for the last; a cancel ends all lives.

    With `since` they count from when that is done, which is waited for as long at most. A life that raises is a defect
    of the lab: it ends the others and is raised in an ExceptionGroup.
    """
    clock = history.clock
    told = {"users": len(plan), "planned_arrivals": len(plan)}
    history.seen("run", "load_started", **told)
    lives: list[asyncio.Task[None]] = []
    late_s = 0.0
    try:
        async with asyncio.TaskGroup() as group:
            start = clock.now_ns()
            for at, number in plan:
                await clock.sleep(max(0.0, at - _since(clock, start)))
                late_s = max(late_s, _since(clock, start) - at)
                lives.append(group.create_task(_live(life, number), name=f"user-{number}"))
            left = await _drained(lives, clock, drain_s, since)
            for task in left:
                task.cancel()
    finally:
        cut = sum(task.cancelled() for task in lives)
        report = LoadReport(len(plan), len(lives), len(lives) - cut, cut, round(late_s, 6))
        history.seen("run", "load_ended", **told, **asdict(report))
    return report


async def _live(life: Life, number: int) -> None:
    await life(number)


async def _drained(
    lives: list[asyncio.Task[None]], clock: Clock, drain_s: float, since: asyncio.Future[Record] | None
) -> list[asyncio.Task[None]]:
    """Wait until all lives are over or the time is; the lives that are left."""
    bound = asyncio.ensure_future(_time_is_over(clock, drain_s, since))
    over = asyncio.gather(*lives, return_exceptions=True)
    try:
        await asyncio.wait((bound, over), return_when=asyncio.FIRST_COMPLETED)
    finally:
        bound.cancel()
    return [task for task in lives if not task.done()]


async def _time_is_over(clock: Clock, seconds: float, since: asyncio.Future[Record] | None) -> None:
    if since is not None:
        late = asyncio.ensure_future(clock.sleep(seconds))
        await asyncio.wait((since, late), return_when=asyncio.FIRST_COMPLETED)
        late.cancel()
    await clock.sleep(seconds)


def _since(clock: Clock, start_ns: int) -> float:
    return (clock.now_ns() - start_ns) / 1e9
