"""Random plans of several faults, by seed; a plan that violates is shrunk until no fault of it can be left out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from zlib import crc32

from netra_sim.scenarios.explore.cells import Cell
from netra_sim.scenarios.explore.explorer import Slot
from netra_sim.scenarios.explore.invariants import broken
from netra_sim.scenarios.explore.plans import Plan, drawn
from netra_sim.scenarios.explore.shrink import shrink

TWICE = 2  # a plan violates when it does so each of so many times: what happens once is told, but cannot be shrunk


async def violates(slot: Slot, flow: str, cells: Sequence[Cell], times: int = TWICE) -> str:
    """What the plan violates, each of so many times; empty when once it does not."""
    why = ""
    for _ in range(times):
        run = await slot.run(flow, cells)
        if not (problems := broken(run.history)):
            return ""
        why = "; ".join(problems)
    return why


async def shrunk(slot: Slot, plan: Plan, folder: Path) -> Path | None:
    """The file of the smallest part of a plan that has violated once; None where the plan does not do so again."""
    whys: dict[tuple[Cell, ...], str] = {}

    async def fails(cells: tuple[Cell, ...], times: int = TWICE) -> bool:
        whys[cells] = await violates(slot, plan.flow, cells, times)
        return bool(whys[cells])

    if not await fails(plan.cells, TWICE - 1):
        return None
    cells = await shrink(plan.cells, fails)
    small = Plan(plan.flow, cells, whys[cells], plan.planted, plan.seed)
    name = "+".join(f"{cell.exchange.edge}-{cell.fault}-{crc32(cell.id.encode()):08x}" for cell in cells)
    return small.save(folder / f"{plan.flow}-{name[:150]}.json")


async def search(
    slots: Sequence[Slot], flow: str, known: Sequence[Cell], seconds: float, folder: Path, seed: int, planted: str,
    tell: Callable[[str], None],
) -> tuple[int, list[Path]]:  # fmt: skip
    """Draw plans out of cells that hold by themselves, until the time is up: how many were run, and what was found."""
    end, numbers, found = time.monotonic() + seconds, iter(range(1, 1 << 30)), list[Path]()
    ran = 0

    async def work(slot: Slot) -> None:
        nonlocal ran
        while known and time.monotonic() < end:
            number = next(numbers)
            cells = drawn(seed, number, flow, known)
            why = await violates(slot, flow, cells, 1)
            ran += 1
            if why:
                path = await shrunk(slot, Plan(flow, cells, why, planted, seed), folder)
                tell(f"{flow} plan {number}: {path.name if path else 'violated once, not again'}: {why}")
                found.extend([path] if path else [])

    async with asyncio.TaskGroup() as group:
        for slot in slots:
            group.create_task(work(slot))
    return ran, found
