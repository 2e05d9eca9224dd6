"""What a protection cost and what it saved, in words: the tables below a control's picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netra_sim.reports.difference import duration
from netra_sim.reports.pairs import Fact, Pair
from netra_sim.reports.tables import Table, control_label

_LONG = 100  # seconds from which their parts are of no interest


@dataclass(frozen=True, slots=True)
class Balance:
    """Tables of what was cost and saved (without rows where nothing was), and of what the machine may explain.

    `basis` says whom all of it is about, `machine` why some of it counts for nothing (empty when all counts), `same`
    what did not differ.
    """

    basis: str
    cost: Table
    saved: Table
    busy: Table
    machine: str
    same: str


def labels(control: Mapping[str, Any]) -> tuple[str, str]:
    """The two runs in words; a control with only another setting takes no protection away."""
    taken = control.get("without") or control.get("defect")
    return ("With the protection" if taken else "The run itself"), control_label(control)


def balance(pair: Pair, control: Mapping[str, Any]) -> Balance:
    """The pair's facts in words; `control` as in result.json."""
    names = labels(control)
    taken = bool(control.get("without") or control.get("defect"))
    headings = (
        ("What the protection cost", "What it saved") if taken else ("What the run had more of", "What it was spared")
    )
    same = [fact.name for fact in pair.signed("same")]
    return Balance(
        basis=_basis(pair),
        cost=_table(headings[0], names, pair.signed("cost")),
        saved=_table(headings[1], names, pair.signed("saved")),
        busy=_table("Worse where the machine was slower", names, pair.signed("busy")),
        machine=_machine(pair, names),
        same=f"The same in both: {'; '.join(_begun(name) for name in same)}." if same else "",
    )


def tables(told: Balance) -> list[Table]:
    """Those that have rows."""
    return [table for table in (told.cost, told.saved, told.busy) if table.rows]


def text(told: Balance) -> str:
    """All of it for a terminal."""
    parts = [told.basis, *(table.text() for table in tables(told)), told.machine, told.same]
    return "\n\n".join(part for part in parts if part)


def _basis(pair: Pair) -> str:
    n = len(pair.users)
    whom = "the one user that is" if n == 1 else f"the {n:,} users that are"
    return f"Counted over {whom} in both runs, one run each."


def _machine(pair: Pair, names: tuple[str, str]) -> str:
    slower = pair.slower
    if slower is None:
        return ""
    sides = (pair.protected, pair.control)
    which, other = (0, 1) if slower is sides[0] else (1, 0)
    return (
        f"“{names[which]}” had less of the machine: the platform took {duration(sides[which].came_up)} to come up, in "
        f"“{names[other]}” {duration(sides[other].came_up)}. What slowness alone can explain counts neither as "
        "cost nor as saved."
    )


def _table(caption: str, names: tuple[str, str], facts: Sequence[Fact]) -> Table:
    rows = tuple((f.name, _amount(f, f.protected), _amount(f, f.control), _difference(f)) for f in facts)
    return Table(caption, ("What was counted", *names, "Difference"), rows)


def _amount(fact: Fact, value: float) -> str:
    if fact.unit == "s":
        return "0 s" if not value else f"{value:,.0f} s" if value >= _LONG else duration(value)
    return f"{value:,.2f}" if isinstance(value, float) and value % 1 else f"{value:,.0f}"


def _difference(fact: Fact) -> str:
    """By how much the first run is off the second, with the unit: `115 fewer questions`."""
    more, by = fact.protected > fact.control, abs(fact.protected - fact.control)
    if fact.unit == "s":
        return f"{_amount(fact, by)} {'more' if more else 'less'}"
    amount = _amount(fact, by)
    return f"{amount} {'more' if more else 'fewer'} {fact.unit.removesuffix('s') if amount == '1' else fact.unit}"


def _begun(name: str) -> str:
    return name[:1].lower() + name[1:]
