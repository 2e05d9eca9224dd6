"""How fast exploration goes: runs a second with a fault in each, and how long one fault at a time takes in all."""

from __future__ import annotations

import math
import time

from netra_sim.scenarios.explore.explorer import stage
from netra_sim.scenarios.explore.flow import FLOWS
from netra_sim.scenarios.explore.matrix import Outcome
from tests.bench.measure import Figure, Goal

RATES = {"login": Goal(3.0), "chat": Goal(1.0)}  # runs a second
WHOLE = Goal(1800.0, most=True)  # seconds
FEW = 40  # cells of a flow


async def figures(quick: bool) -> list[Figure]:
    """The rate of each flow with its cells by state; unless `quick`, all cells are run, and their time told."""
    found, begun, runs = list[Figure](), time.perf_counter(), 0
    async with stage() as at:
        for flow in RATES if quick else FLOWS:
            matrix, cells = await at.survey(flow)
            await at.explore(matrix, cells[:FEW] if quick else cells, math.inf, _nobody)
            states = ", ".join(f"{n} {state}" for state, n in matrix.count().items())
            rate = matrix.runs / matrix.seconds
            found.append(Figure(f"exploration, {flow}", rate, "runs/s", RATES.get(flow), states, matrix.runs))
            runs += matrix.runs
    if quick:
        return found
    return [*found, Figure("exploration, four flows", time.perf_counter() - begun, "s", WHOLE, "", runs)]


def _nobody(_: Outcome) -> None:
    """Nobody is told of a cell."""
