"""Plans of several faults: drawn by seed, stored as a file, run again."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.rng import Rng
from netra_sim.scenarios.explore.cells import FAULTS, Cell
from netra_sim.scenarios.explore.fingerprint import Exchange
from netra_sim.scenarios.explore.flow import FLOWS

SCHEMA = 1
FOUND = Path(__file__).parent / "found"  # what exploration has found and was mended: each violated what its `why` tells
SIZES = (2, 3, 4)  # faults of a drawn plan


@dataclass(frozen=True)
class Plan:
    """Faults to set on one run of a flow, what they violated, and the planted defect they were found with."""

    flow: str
    cells: tuple[Cell, ...]
    why: str = ""
    planted: str = ""
    seed: int = 7

    def as_dict(self) -> dict[str, Any]:
        """As it stands in its file."""
        faults = [{"exchange": cell.exchange.id, "fault": cell.fault} for cell in self.cells]
        told = {"schema": SCHEMA, "flow": self.flow, "planted": self.planted, "seed": self.seed}
        return {**told, "faults": faults, "why": self.why}

    def save(self, path: Path) -> Path:
        """Write it; the path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        return path

    @staticmethod
    def load(path: Path) -> Plan:
        """Read it; BadValue for a file that is no plan, or names a flow or fault that is none."""
        try:
            told = json.loads(path.read_text())
            cells = tuple(Cell(Exchange.parse(each["exchange"]), each["fault"]) for each in told["faults"])
            plan = Plan(told["flow"], cells, told.get("why", ""), told.get("planted", ""), int(told.get("seed", 7)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadValue(
                field="plan", value=str(path), allowed=f"a file that exploration has written ({error})"
            ) from error
        if plan.flow not in FLOWS:
            raise BadValue(field="flow", value=plan.flow, allowed=", ".join(FLOWS))
        if wrong := next((cell.fault for cell in cells if cell.fault not in FAULTS), None):
            raise BadValue(field="fault", value=wrong, allowed=", ".join(FAULTS))
        return plan


def stored(flows: Collection[str]) -> dict[str, Plan]:
    """The plans of these flows that once violated, by their file's name: they are run again at each exploration."""
    plans = {path.stem: Plan.load(path) for path in sorted(FOUND.glob("*.json"))}
    return {name: plan for name, plan in plans.items() if plan.flow in flows}


def drawn(seed: int, number: int, flow: str, known: Sequence[Cell]) -> tuple[Cell, ...]:
    """The plan of this number: some of the known cells, each exchange at most once, in the order of the flow."""
    stream = Rng(seed).child("explore", flow).stream(number)
    chosen: dict[Exchange, Cell] = {}
    for cell in stream.sample(list(known), min(len(known), stream.choice(SIZES))):
        chosen.setdefault(cell.exchange, cell)
    order = {cell: n for n, cell in enumerate(known)}
    return tuple(sorted(chosen.values(), key=order.__getitem__))
