"""reports/explore.json: exchange x fault, each held, violated or not reached; written as it grows, read to go on."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from netra_sim.scenarios.explore.cells import Cell
from netra_sim.scenarios.explore.fingerprint import Exchange

SCHEMA = 1
Regressions = Sequence[dict[str, Any]]
State = Literal["held", "violated", "unreached"]


@dataclass(frozen=True)
class Outcome:
    """What became of one cell; `why` says what was violated, or what the user was told."""

    cell: Cell
    state: State
    why: str


@dataclass
class Matrix:
    """The cells of one flow; `merged` counts, by rule, those for which another stands."""

    flow: str
    exchanges: Sequence[Exchange]
    merged: dict[str, int] = field(default_factory=dict)
    unstable: int = 0
    outcomes: dict[Cell, Outcome] = field(default_factory=dict)
    seconds: float = 0.0
    runs: int = 0

    def add(self, outcome: Outcome) -> None:
        """A cell was run; a second time replaces the first."""
        self.outcomes[outcome.cell] = outcome

    def count(self) -> Counter[str]:
        """How many cells there are of each state."""
        return Counter(outcome.state for outcome in self.outcomes.values())

    def as_dict(self) -> dict[str, Any]:
        """As it stands in explore.json; `rate` is in runs a second."""
        order = {exchange: n for n, exchange in enumerate(self.exchanges)}
        outcomes = sorted(self.outcomes.values(), key=lambda o: order.get(o.cell.exchange, len(order)))
        return {
            "flow": self.flow,
            "exchanges": [exchange.id for exchange in self.exchanges],
            "cells": [
                {"exchange": o.cell.exchange.id, "fault": o.cell.fault, "state": o.state, "why": o.why}
                for o in outcomes
            ],
            "merged": self.merged, "unstable": self.unstable, "runs": self.runs,
            "rate": round(self.runs / self.seconds, 2) if self.seconds else None,
        }  # fmt: skip


def parse(given: dict[str, Any]) -> Matrix:
    """The matrix of a flow out of explore.json."""
    matrix = Matrix(given["flow"], [Exchange.parse(text) for text in given["exchanges"]], dict(given.get("merged", {})))
    matrix.unstable = int(given.get("unstable", 0))
    for cell in given["cells"]:
        found = Cell(Exchange.parse(cell["exchange"]), cell["fault"])
        matrix.add(Outcome(found, cell["state"], cell["why"]))
    return matrix


def load(path: Path, made_by: str) -> dict[str, Matrix]:
    """What the file has from the same commit and planted defect (`made_by`), by flow; nothing where it has none."""
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if told.get("schema") != SCHEMA or told.get("made_by") != made_by:
        return {}
    return {flow["flow"]: parse(flow) for flow in told["flows"]}


def save(
    path: Path, made_by: str, flows: Sequence[Matrix], found: Sequence[str] = (), regressions: Regressions = ()
) -> None:
    """Write the file as a whole or not at all; `found` are the files of plans that violate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {
        "schema": SCHEMA, "made_by": made_by, "flows": [m.as_dict() for m in flows], "plans": list(found),
        "regressions": list(regressions),
    }  # fmt: skip
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(told, indent=1))
    os.replace(draft, path)
