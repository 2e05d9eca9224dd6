"""Exploration of one flow: record, make cells, run them in several lanes at once, judge each."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from netra_sim.faults.control import FaultControl
from netra_sim.lab.lab import Lab, default_children
from netra_sim.scenarios.explore.cells import Cell, cells
from netra_sim.scenarios.explore.flow import FLOWS
from netra_sim.scenarios.explore.invariants import broken, told
from netra_sim.scenarios.explore.lane import Lane, Run, lane
from netra_sim.scenarios.explore.matrix import Matrix, Outcome, State
from netra_sim.scenarios.explore.plans import Plan
from netra_sim.scenarios.explore.record import recorded

LANES, SEED, SCALE = 4, 7, 0.1
TRIES = 3  # runs in which a cell must be reached
STILL, BEAT = 2.0, 0.1  # seconds
Tell = Callable[[Outcome], None]


Open = Callable[[], contextlib.AbstractAsyncContextManager[Lane]]


class Slot:
    """A place for a lane: one that a run has left as it was not before gives way to a new one."""

    def __init__(self, open_: Open) -> None:
        self._open, self._stack = open_, contextlib.AsyncExitStack()
        self.lane: Lane

    async def open(self) -> None:
        """A new lane, after the end of the one before."""
        await self._stack.aclose()
        self.lane = await self._stack.enter_async_context(self._open())

    async def close(self) -> None:
        """The end of the lane."""
        await self._stack.aclose()

    async def run(self, flow: str, plan: Sequence[Cell] = ()) -> Run:
        """One run of the flow; another where all stood still for so long that everything was too late."""
        for _ in range(TRIES):
            async with still() as longest:
                run = await self.lane.run(FLOWS[flow], plan)
            if not run.clean:
                await self.open()
            if longest() < STILL:
                break
        return run


@contextlib.asynccontextmanager
async def still() -> AsyncIterator[Callable[[], float]]:
    """The longest time in s for which this process did nothing: it was stopped, or others had the machine."""
    found = [0.0]

    async def beat() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT)
            found.append(time.monotonic() - before - BEAT)

    task = asyncio.create_task(beat())
    try:
        yield lambda: max(found)
    finally:
        task.cancel()


@dataclass(frozen=True)
class Stage:
    """The lanes of one lab."""

    slots: tuple[Slot, ...]

    async def survey(self, flow: str) -> tuple[Matrix, tuple[Cell, ...]]:
        """The flow's exchanges and the cells to run, nothing of it run yet."""
        found = await recorded(self.slots[0].lane, FLOWS[flow])
        chosen = cells(found.exchanges, found.followers, found.missed)
        return Matrix(flow, found.exchanges, chosen.merged, found.unstable), chosen.chosen

    async def explore(self, matrix: Matrix, wanted: Sequence[Cell], seconds: float, tell: Tell) -> None:
        """Run the cells, those of one lane one after the other, until all are done or the time is up."""
        waiting = list(reversed(wanted))
        began = time.monotonic()

        async def work(slot: Slot) -> None:
            while waiting and time.monotonic() - began < seconds:
                cell = waiting.pop()
                outcome = await self._outcome(slot, matrix, cell)
                matrix.add(outcome)
                tell(outcome)

        async with asyncio.TaskGroup() as group:
            for slot in self.slots:
                group.create_task(work(slot))
        matrix.seconds += time.monotonic() - began

    async def again(self, plan: Plan) -> tuple[State, str]:
        """What a stored plan shows, the worst of a few runs on a lane that has run its flow before."""
        await self.slots[0].run(plan.flow)
        shown = [verdict(await self.slots[0].run(plan.flow, plan.cells)) for _ in range(TRIES)]
        return min(shown, key=lambda each: ("violated", "held", "unreached").index(each[0]))

    async def _outcome(self, slot: Slot, matrix: Matrix, cell: Cell) -> Outcome:
        """Of one cell, in a few runs where it is not reached: on a busy machine time-outs change what is exchanged."""
        for _ in range(TRIES):
            outcome = judged(cell, await slot.run(matrix.flow, [cell]))
            matrix.runs += 1
            if outcome.state != "unreached":
                return outcome
        return Outcome(cell, "unreached", f"there was no such exchange in {TRIES} runs: {outcome.why}")


def judged(cell: Cell, run: Run) -> Outcome:
    """A run with one fault: what does not hold counts even where the fault was not reached."""
    return Outcome(cell, *verdict(run))


def verdict(run: Run) -> tuple[State, str]:
    """What a run with faults has shown, and why."""
    if problems := broken(run.history):
        return "violated", "; ".join(problems)
    return "held" if all(run.hits) else "unreached", told(run.history)


@contextlib.asynccontextmanager
async def stage(lanes: int = LANES, planted: str = "", seed: int = SEED, scale: float = SCALE) -> AsyncIterator[Stage]:
    """A warm lab whose model takes no time, with so many lanes; their workers have the planted defect, if any."""
    children = default_children(seed, 0.0)
    async with (
        Lab(seed=seed, time_scale=scale, children=children, protocols=True) as lab,
        FaultControl(lab.proxy.url) as control,
        contextlib.AsyncExitStack() as stack,
    ):
        numbers = itertools.count(1)
        slots = tuple(Slot(lambda: lane(lab, control, f"lane{next(numbers)}", seed, planted)) for _ in range(lanes))
        for slot in slots:
            stack.push_async_callback(slot.close)
        await asyncio.gather(*(slot.open() for slot in slots))
        yield Stage(slots)
