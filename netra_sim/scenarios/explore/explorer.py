"""Exploration of one flow: record, make cells, run them in several lanes at once, judge each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from netra_sim.faults.control import FaultControl
from netra_sim.lab.lab import Lab, default_children
from netra_sim.scenarios.explore.cells import Cell, cells
from netra_sim.scenarios.explore.flow import FLOWS
from netra_sim.scenarios.explore.invariants import broken, told
from netra_sim.scenarios.explore.lane import Lane, Run, lane
from netra_sim.scenarios.explore.matrix import Matrix, Outcome
from netra_sim.scenarios.explore.record import recorded

LANES, SEED, SCALE = 4, 7, 0.1
Tell = Callable[[Outcome], None]


@dataclass(frozen=True)
class Stage:
    """The lanes of one lab."""

    lanes: tuple[Lane, ...]

    async def survey(self, flow: str) -> tuple[Matrix, tuple[Cell, ...]]:
        """The flow's exchanges and the cells to run, nothing of it run yet."""
        found = await recorded(self.lanes[0], FLOWS[flow])
        chosen = cells(found.exchanges, found.followers)
        return Matrix(flow, found.exchanges, chosen.merged, found.unstable), chosen.chosen

    async def explore(self, matrix: Matrix, wanted: Sequence[Cell], seconds: float, tell: Tell) -> None:
        """Run the cells, those of one lane one after the other, until all are done or the time is up."""
        waiting = list(reversed(wanted))
        began = time.monotonic()

        async def work(lane: Lane) -> None:
            while waiting and time.monotonic() - began < seconds:
                cell = waiting.pop()
                outcome = judged(cell, await lane.run(FLOWS[matrix.flow], [cell]))
                matrix.add(outcome)
                matrix.runs += 1
                tell(outcome)

        async with asyncio.TaskGroup() as group:
            for each in self.lanes:
                group.create_task(work(each))
        matrix.seconds += time.monotonic() - began


def judged(cell: Cell, run: Run) -> Outcome:
    """A run with one fault: what does not hold counts even where the fault was not reached."""
    if problems := broken(run.history):
        return Outcome(cell, "violated", "; ".join(problems))
    said = told(run.history)
    return Outcome(cell, "held" if all(run.hits) else "unreached", said)


@contextlib.asynccontextmanager
async def stage(lanes: int = LANES, planted: str = "", seed: int = SEED, scale: float = SCALE) -> AsyncIterator[Stage]:
    """A warm lab whose model takes no time, with so many lanes; their workers have the planted defect, if any."""
    children = default_children(seed, 0.0)
    async with (
        Lab(seed=seed, time_scale=scale, children=children, protocols=True) as lab,
        FaultControl(lab.proxy.url) as control,
        contextlib.AsyncExitStack() as stack,
    ):
        opened = [
            asyncio.create_task(stack.enter_async_context(lane(lab, control, f"lane{n}", seed, planted)))
            for n in range(1, lanes + 1)
        ]
        yield Stage(tuple(await asyncio.gather(*opened)))
