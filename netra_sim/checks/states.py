"""The states of a run: which may follow which, and that each step was persisted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netra_sim.checks.evidence import Facts, at, counted, notable, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import audited
from netra_sim.kernel.history import History

_STOPPED = frozenset({"failed", "timeout", "dead", "cancelled"})
LEGAL: dict[str, frozenset[str]] = {
    "pending": _STOPPED | {"starting"},
    "starting": _STOPPED | {"running"},
    "running": _STOPPED | {"completing"},
    "completing": _STOPPED | {"completed"},
    "completed": frozenset(),
    **{state: frozenset() for state in _STOPPED},
}


def legal_transitions(
    *,
    name: str = "legal_transitions",
    proves: tuple[str, ...] = ("GP-AGENT.3",),
    controls: tuple[str, ...] = (),
) -> Check:
    """Every run's persisted chain goes by legal steps from pending to a terminal state, the one its row shows."""
    expected = (
        "Every run's stored chain of states is gapless and legal from pending to a terminal state, the run's status."
    )
    return Check(name, expected, proves, _judge, controls)


def chain_problem(chain: Sequence[Sequence[str]], status: str | None) -> str | None:
    """What is wrong with one run's chain of (from, to) pairs, or None."""
    state = "pending"
    for before, after in chain:
        if before != state:
            return f"a step from {before} follows state {state}"
        if after not in LEGAL.get(before, ()):
            return f"{before} may not become {after}"
        state = after
    if LEGAL[state]:
        return f"it never left {state}"
    if status is None:
        return "it has a chain of states but is not in the runs table"
    return None if state == status else f"its chain ends in {state}, its row says {status}"


def _judge(history: History) -> Finding:
    table = audited(history, "runs")
    if table is None:
        return unknown("The runs table was not read.")
    rows: list[dict[str, Any]] = list(table.value.get("rows", ()))
    chains = {str(r.value["run_id"]): r for r in history.seen("transitions") if r.actor == "auditor"}
    status = {str(row["run_id"]): str(row["status"]) for row in rows}
    bad: list[Facts] = []
    for run in {**status, **dict.fromkeys(chains)}:
        record = chains.get(run)
        chain = record.value.get("chain", ()) if record else ()
        problem = chain_problem(chain, status.get(run)) if chain else "it has no stored chain of states"
        if problem:
            read_at = at(history, (record or table).t)
            bad.append({"t": read_at, "run": run, "status": status.get(run), "steps": len(chain), "problem": problem})
    total = len({*status, *chains})
    if not total:
        return unknown("There was no run.")
    if not bad:
        return Finding("pass", f"All {counted(total, 'run')} went by legal, stored steps to a terminal state.")
    evidence = notable(bad)
    told = f"{len(bad):,} of {counted(total, 'run')} broke the state machine"
    return Finding("fail", f"{told}: {evidence[0]['problem']} (run {evidence[0]['run']}).", evidence)
