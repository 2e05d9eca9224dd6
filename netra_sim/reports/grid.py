"""The grid of scenarios and parameter sets, with a verdict for the whole run and one for each check of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from netra_sim.reports.runs import SEVERITY, USUAL, Run, worst


@dataclass(frozen=True, slots=True)
class Entry:
    """A verdict in a cell; `key` is `all` for the whole run, else that of the check."""

    key: str
    verdict: str
    run: Run


@dataclass(frozen=True, slots=True)
class Grid:
    """Columns are parameter sets; `checks` holds each check's key and name, `rows` a scenario's cells by column."""

    columns: tuple[str, ...]
    checks: tuple[tuple[str, str], ...]
    verdicts: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[Entry, ...], ...]], ...]


def grid(found: list[Run]) -> Grid:
    """Of these runs; a scenario that was not run with a column's parameters has an empty cell there."""
    columns = sorted({run.variant for run in found}, key=lambda name: (name != USUAL, name))
    names = sorted({check["check"] for run in found if run.result for check in run.result.data["checks"]})
    checks = tuple((f"k{n}", name) for n, name in enumerate(names))
    keys = {name: key for key, name in checks}
    placed = {(run.scenario, run.variant): _entries(run, keys) for run in found}
    rows = tuple((name, tuple(placed.get((name, column), ()) for column in columns)) for name in scenarios(found))
    verdicts = tuple(v for v in SEVERITY if any(e.verdict == v for entries in placed.values() for e in entries))
    return Grid(tuple(columns), checks, verdicts, rows)


def scenarios(found: list[Run]) -> dict[str, list[Run]]:
    """The runs of each scenario, the worst scenario first, within one the usual parameters first."""
    runs: dict[str, list[Run]] = {}
    for run in sorted(found, key=lambda run: (run.variant != USUAL, run.variant)):
        runs.setdefault(run.scenario, []).append(run)
    return dict(sorted(runs.items(), key=lambda item: (SEVERITY.index(worst(r.verdict for r in item[1])), item[0])))


def _entries(run: Run, keys: dict[str, str]) -> tuple[Entry, ...]:
    checks: list[dict[str, Any]] = list(run.result.data["checks"]) if run.result else []
    return Entry("all", run.verdict, run), *(Entry(keys[c["check"]], c["outcome"], run) for c in checks)
