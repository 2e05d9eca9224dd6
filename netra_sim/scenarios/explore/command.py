"""`python -m netra_sim explore` and `replay`: everything from a warm lab to reports/explore.json."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netra_sim.kernel.errors import UnknownName
from netra_sim.scenarios import provenance
from netra_sim.scenarios.explore import matrix as files
from netra_sim.scenarios.explore.explorer import LANES, SEED, Stage, stage
from netra_sim.scenarios.explore.flow import FLOWS
from netra_sim.scenarios.explore.invariants import broken, told
from netra_sim.scenarios.explore.matrix import Matrix, Outcome
from netra_sim.scenarios.explore.plans import Plan, stored
from netra_sim.scenarios.explore.search import search, shrunk

PLANS = "runs/explore"
KEPT_EACH = 20  # cells


@dataclass(frozen=True)
class Wanted:
    """What to explore: flows, seconds for the cells of all of them, seconds of random search for each."""

    flows: tuple[str, ...] = tuple(FLOWS)
    seconds: float = float("inf")
    search: float = 30.0
    planted: str = ""
    fresh: bool = False
    lanes: int = LANES
    seed: int = SEED

    def __post_init__(self) -> None:
        """UnknownName for a flow that is none."""
        for flow in self.flows:
            if flow not in FLOWS:
                raise UnknownName(what="flow", name=flow, known=", ".join(FLOWS))


def explore(wanted: Wanted, root: Path) -> int:
    """Explore, and write what was found as it is found; exit code 1 when anything was violated."""
    import uvloop

    return uvloop.run(_explore(wanted, root))


def replay(path: Path, times: int = 1) -> int:
    """Run a stored plan again; exit code 1 when it still violates."""
    import uvloop

    return uvloop.run(_replay(Plan.load(path), times))


async def _explore(wanted: Wanted, root: Path) -> int:
    name = f"explore-{wanted.planted}.json" if wanted.planted else "explore.json"
    path, made_by = root / "reports" / name, f"{provenance.commit()} {wanted.planted}".strip()
    changed = "+" in made_by  # files differ from the commit, so it does not say what ran
    matrices = {} if wanted.fresh or changed else files.load(path, made_by)
    plans: list[str] = []
    regressions: list[dict[str, Any]] = []

    def keep() -> None:
        files.save(path, made_by, list(matrices.values()), plans, regressions)

    end = time.monotonic() + wanted.seconds
    async with stage(wanted.lanes, wanted.planted, wanted.seed) as at:
        regressions += [] if wanted.planted else await _regressions(at, wanted.flows)
        for flow in wanted.flows:
            matrix = await _flow(at, flow, matrices, end, keep)
            keep()
            found = await _plans(at, matrix, wanted, root / PLANS)
            plans.extend(str(each.relative_to(root)) for each in found)
            keep()
    print(f"matrix: {path.relative_to(root)}")
    again = any(each["state"] == "violated" for each in regressions)
    return int(any(matrix.count()["violated"] for matrix in matrices.values()) or bool(plans) or again)


async def _regressions(at: Stage, flows: Sequence[str]) -> list[dict[str, Any]]:
    """Every plan that once violated, run again: what it shows today."""
    told = []
    for name, plan in stored(flows).items():
        state, why = await at.again(plan)
        print(f"found before, {name}: {state}: {why}", flush=True)
        faults = [cell.id for cell in plan.cells]
        told.append({"plan": name, "flow": plan.flow, "faults": faults, "found": plan.why, "state": state, "why": why})
    return told


async def _flow(at: Stage, flow: str, matrices: dict[str, Matrix], end: float, keep: Callable[[], None]) -> Matrix:
    """Every cell of one flow that the file does not have yet; what was found is kept now and then."""

    def tell(outcome: Outcome) -> None:
        if outcome.state != "held":
            print(f"  {outcome.state} {outcome.cell.id}: {outcome.why}", flush=True)
        if matrix.runs % KEPT_EACH == 0:
            keep()

    matrix, cells = await at.survey(flow)
    before = matrices.get(flow)
    for outcome in before.outcomes.values() if before else ():
        if outcome.cell in cells:
            matrix.add(outcome)
    matrices[flow] = matrix
    left = [cell for cell in cells if cell not in matrix.outcomes]
    print(f"{flow}: {len(matrix.exchanges)} exchanges, {len(cells)} cells, {len(left)} to run", flush=True)
    await at.explore(matrix, left, end - time.monotonic(), tell)
    rate = f"{matrix.runs / matrix.seconds:.1f} runs/s" if matrix.runs else "none run"
    states = ", ".join(f"{n} {state}" for state, n in matrix.count().items())
    print(f"{flow}: {states}; {rate}; merged: {matrix.merged}", flush=True)
    return matrix


async def _plans(at: Stage, matrix: Matrix, wanted: Wanted, folder: Path) -> list[Path]:
    """A file for each cell that violates again, and for each plan of several that a random search finds."""
    alone = [o for o in matrix.outcomes.values() if o.state == "violated"]
    found = []
    for outcome in alone:
        plan = Plan(matrix.flow, (outcome.cell,), outcome.why, wanted.planted, wanted.seed)
        path = await shrunk(at.slots[0], plan, folder)
        print(f"{matrix.flow}: {outcome.cell.id}: {path.name if path else 'not again'}", flush=True)
        found += [path] if path else []
    sound = [o.cell for o in matrix.outcomes.values() if o.state == "held"]
    ran, more = await search(at.slots, matrix.flow, sound, wanted.search, folder, wanted.seed, wanted.planted, print)
    print(f"{matrix.flow}: {ran} random plans, {len(more)} violate", flush=True)
    return found + more


async def _replay(plan: Plan, times: int) -> int:
    async with stage(1, plan.planted, plan.seed) as at:
        slot, failed = at.slots[0], 0
        await slot.run(plan.flow)
        for _ in range(times):
            run = await slot.run(plan.flow, plan.cells)
            problems: Sequence[str] = broken(run.history)
            failed += bool(problems)
            for cell, hits in zip(plan.cells, run.hits, strict=True):
                print(f"{cell.id}: {'struck' if hits else 'not reached'}")
            print("violated: " + "; ".join(problems) if problems else f"held: {told(run.history)}")
    return int(failed > 0)
