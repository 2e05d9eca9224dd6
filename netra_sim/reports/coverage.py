"""Which lines of the catalogue the results prove: pure, from the parsed catalogue and result.json dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

# (scenario, check) -> of each run the outcome, and whether all controls convicted (None: not all were run)
Checks = dict[tuple[str, str], list[tuple[str, bool | None]]]
State = Literal["proven", "open", "failed"]
Standing = Literal["proven", "partly", "failed", "open"]
STANDINGS: tuple[Standing, ...] = ("proven", "partly", "failed", "open")
SOURCES = {
    "IC": "Integration and chaos suite",
    "T20": "Top 20",
    "T30": "Top 30",
    "C15": "Critical 15",
    "GP": "Golden path",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a row, by its id (`IC-C1.2`), with the scenarios whose checks name it."""

    id: str
    text: str
    state: State
    scenarios: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the catalogue; `revenue` in thousand USD a month, None where its source gives none.

    `standing` is its state, in which a row that is open with some lines proven is partly so.
    """

    id: str
    title: str
    group: str
    source: str
    revenue: float | None
    lines: tuple[Line, ...]
    same_as: tuple[str, ...]
    state: State
    standing: Standing


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over rows; revenue in thousand USD a month, in all, of the proven rows, and by the rows' standing."""

    name: str
    rows: int
    proven_rows: int
    lines: int
    proven: int
    failed: int
    revenue: float
    protected: float
    shares: Mapping[Standing, float]


def coverage(catalogue: Mapping[str, Any], results: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """State and scenarios for every line (`row.n`, from 1); a row with `same_as` has its own id as key.

    Proven: every check naming the line passed in every run, and each control of it that was run made it fail; there is
    a run that had them all. Failed: a check naming it failed in a protected run. Open: anything else; a check without a
    control proves nothing.
    """
    named = _named(results)
    rows = catalogue["row"]
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for number in range(1, len(row.get("must_show", ())) + 1):
            checks = named.get(f"{row['id']}.{number}", {})
            scenarios = sorted({scenario for scenario, _ in checks})
            found[f"{row['id']}.{number}"] = {"state": _state(checks), "scenarios": scenarios}
    aliases = {row["id"]: row["same_as"] for row in rows if "same_as" in row}
    for alias in aliases:
        below = [found[key] for target in _targets(alias, aliases) for key in _keys(found, target)]
        scenarios = sorted({scenario for line in below for scenario in line["scenarios"]})
        found[alias] = {"state": _together([line["state"] for line in below]), "scenarios": scenarios}
    return {key: found[key] for row in rows for key in _keys(found, row["id"])}


def rows(catalogue: Mapping[str, Any], covered: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The catalogue's rows with their states, in its order."""
    tiers: dict[str, int] = {}
    for row in catalogue["row"]:
        tiers[row.get("tier", "")] = tiers.get(row.get("tier", ""), 0) + 1
    aliases = {row["id"]: row["same_as"] for row in catalogue["row"] if "same_as" in row}
    return [_row(row, covered, tiers, aliases) for row in catalogue["row"]]


def tallies(found: Iterable[Row], by: Literal["group", "source"]) -> list[Tally]:
    """Sums by group or by source; revenue is never summed across sources, so only the latter's means something."""
    parts: dict[str, list[Row]] = {}
    for row in found:
        parts.setdefault(getattr(row, by), []).append(row)
    return [_tally(name, part) for name, part in parts.items()]


def _named(results: Iterable[Mapping[str, Any]]) -> dict[str, Checks]:
    """By line and by (scenario, check) that names it: each run's outcome, and whether every control convicted.

    The latter is None where a control was not run: that run says nothing about it.
    """
    named: dict[str, Checks] = {}
    for result in results:
        failed = {control["name"]: set(control["failed"]) for control in result["controls"]}
        for check in result["checks"]:
            wanted = check.get("controls", ())
            told = [check["check"] in failed[name] for name in wanted if name in failed]
            convicted = None if all(told) and len(told) < len(wanted) else bool(told) and all(told)
            for line in check["proves"]:
                seen = named.setdefault(line, {}).setdefault((result["scenario"], check["check"]), [])
                seen.append((check["outcome"], convicted))
    return named


def _state(checks: Checks) -> State:
    outcomes = [outcome for seen in checks.values() for outcome, _ in seen]
    if "fail" in outcomes:
        return "failed"
    held = all(outcome == "pass" for outcome in outcomes)
    told = [[convicted for _, convicted in seen if convicted is not None] for seen in checks.values()]
    return "proven" if checks and held and all(each and all(each) for each in told) else "open"


def _together(states: list[State]) -> State:
    if "failed" in states:
        return "failed"
    return "proven" if states and all(state == "proven" for state in states) else "open"


def _targets(row: str, aliases: Mapping[str, list[str]]) -> list[str]:
    """The rows with lines of their own that an alias stands for, also through other aliases."""
    return [deep for target in aliases[row] for deep in (_targets(target, aliases) if target in aliases else [target])]


def _keys(found: Mapping[str, Any], row: str) -> list[str]:
    return [key for key in found if key == row or key.rpartition(".")[0] == row]


def _standing(row: str, covered: Mapping[str, Mapping[str, Any]], aliases: Mapping[str, list[str]]) -> Standing:
    targets = _targets(row, aliases) if row in aliases else [row]
    states = [covered[key]["state"] for target in targets for key in _keys(covered, target)]
    state = _together(states)
    return "partly" if state == "open" and "proven" in states else state


def _row(
    row: Mapping[str, Any],
    covered: Mapping[str, Mapping[str, Any]],
    tiers: Mapping[str, int],
    aliases: Mapping[str, list[str]],
) -> Row:
    lines = []
    for number, text in enumerate(row.get("must_show", ()), start=1):
        found = covered[f"{row['id']}.{number}"]
        lines.append(Line(f"{row['id']}.{number}", text, found["state"], tuple(found["scenarios"])))
    state = covered[row["id"]]["state"] if "same_as" in row else _together([line.state for line in lines])
    shared = row["tier_mrr"] / tiers[row["tier"]] if "tier_mrr" in row else None
    source = row["id"].partition("-")[0]
    revenue, alias = row.get("mrr", shared), tuple(row.get("same_as", ()))
    standing = _standing(row["id"], covered, aliases)
    source = SOURCES.get(source, source)
    return Row(row["id"], row["title"], row["group"], source, revenue, tuple(lines), alias, state, standing)


def _tally(name: str, part: list[Row]) -> Tally:
    states = [line.state for row in part for line in row.lines]
    proven = [row for row in part if row.state == "proven"]
    shares = {each: sum(row.revenue or 0.0 for row in part if row.standing == each) for each in STANDINGS}
    return Tally(
        name, len(part), len(proven), len(states), states.count("proven"), states.count("failed"),
        sum(row.revenue or 0.0 for row in part), shares["proven"], shares,
    )  # fmt: skip
