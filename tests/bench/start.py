"""How long a lab takes to be up, warm: programs and files are in the page cache; nothing else is kept."""

from __future__ import annotations

import statistics
import time

from netra_sim.lab.lab import Lab
from tests.bench.measure import Figure, Goal

LIMIT = Goal(4.0, most=True)  # seconds; the aim is 2


async def figures(quick: bool) -> list[Figure]:
    """The median of several starts after a first one that does not count."""
    taken, stores = [], ""
    for _ in range(4 if quick else 12):
        lab, begun = Lab(), time.perf_counter()
        async with lab:
            taken.append(time.perf_counter() - begun)
            stores = ", ".join(sorted(lab.servers()))
    return [Figure("lab start, warm", statistics.median(taken[1:]), "s", LIMIT, stores, len(taken) - 1)]
