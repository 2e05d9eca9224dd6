"""The states of a run, as a table. No I/O."""

from __future__ import annotations

TABLE: dict[str, frozenset[str]] = {
    "pending": frozenset({"starting", "cancelled", "dead"}),
    "starting": frozenset({"running", "failed", "timeout", "dead", "cancelled"}),
    "running": frozenset({"completing", "failed", "timeout", "dead", "cancelled"}),
    "completing": frozenset({"completed", "failed", "timeout", "dead", "cancelled"}),
    "completed": frozenset(),
    "failed": frozenset(),
    "timeout": frozenset(),
    "dead": frozenset(),
    "cancelled": frozenset(),
}


class IllegalTransition(Exception):
    """A defect of ours: the table does not allow this change."""


def check(before: str, after: str) -> tuple[str, str]:
    """The pair for the journal; IllegalTransition when the table does not allow it."""
    if after not in TABLE[before]:
        raise IllegalTransition(f"{before} -> {after}")
    return before, after
