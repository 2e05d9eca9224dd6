"""Which agents a run takes: as many as the tenant's data is good for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from netra_sim.checks.evidence import Facts, at, counted, notable, unknown
from netra_sim.checks.order import ROUTES
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import COMPLETED, ENDINGS, STARTED, SUPERVISOR, Event, audited, run_events, workloads
from netra_sim.kernel.history import History

BY_DATA = {"full": "sufficient", "partial": "partial", "none": "insufficient"}
UNKNOWN = "unknown"  # triage failed, so nobody knows how complete the data is: taken as insufficient


def routes_follow_data(
    *,
    name: str = "routes_follow_data",
    proves: tuple[str, ...] = ("GP-AGENT.2",),
    controls: tuple[str, ...] = (),
) -> Check:
    """Each completed run took the route that its tenant's data is good for, ran exactly its agents, and reported."""
    expected = (
        "Every completed run takes the route of its tenant's data (sufficient, partial, insufficient; unknown as "
        "insufficient), starts exactly that route's agents, and ends with a report."
    )
    return Check(name, expected, proves, _judge, controls)


def _judge(history: History) -> Finding:
    reading, tenants, events = audited(history, "runs"), workloads(history), run_events(history)
    if reading is None:
        return unknown("The runs table was not read.")
    if not tenants:
        return unknown("Nobody knows which data the tenants have.")
    if not events:
        return unknown("No event of any run is known.")
    taken: Counter[str] = Counter()
    bad: list[Facts] = []
    for row in (row for row in reading.value.get("rows", ()) if row["status"] == "completed"):
        of = events.get((str(row["user_id"]), str(row["run_id"])), ())
        case = UNKNOWN if _failed("triage", of) else BY_DATA[tenants.get(str(row["user_id"]), {}).get("data", "none")]
        taken[case] += 1
        if problem := _problem(row, case, of):
            facts = {"run": row["run_id"], "user": row["user_id"], "data": case, "route": row.get("route")}
            bad.append({"t": at(history, reading.t), **facts, "problem": problem})
    return _finding(taken, bad)


def _failed(agent: str, events: Sequence[Event]) -> bool:
    endings = {event.type for event in events if event.agent == agent and event.type in ENDINGS}
    return bool(endings) and COMPLETED not in endings


def _problem(row: Mapping[str, Any], case: str, events: Sequence[Event]) -> str | None:
    """What is wrong with the way a completed run took, or None."""
    route = "insufficient" if case == UNKNOWN else case
    if row.get("route") != route:
        return f"data is {case}, the run took the route {row.get('route')}"
    ran = {event.agent for event in events if event.type == STARTED} - {SUPERVISOR}
    if missing := ROUTES[route].keys() - ran:
        return f"the {route} route was taken without {', '.join(sorted(missing))}"
    if strange := ran - ROUTES[route].keys():
        return f"{', '.join(sorted(strange))} ran on the {route} route"
    reported = any(event.agent == "reporting" and event.type == COMPLETED for event in events)
    return None if reported else "it ended without a report"


def _finding(taken: Counter[str], bad: Sequence[Facts]) -> Finding:
    if not taken:
        return unknown("No run was completed.")
    total = counted(taken.total(), "completed run")
    if bad:
        evidence = notable(bad)
        told = f"{len(bad):,} of {total} went wrong: {evidence[0]['problem']} (run {evidence[0]['run']})."
        return Finding("fail", told, evidence)
    cases = ", ".join(f"{taken[case]:,} {case}" for case in (*ROUTES, UNKNOWN) if taken[case])
    if untaken := [route for route in ROUTES if not taken[route]]:
        return unknown(f"No run had data that is {' or '.join(untaken)}; {total}: {cases}.")
    return Finding("pass", f"All {total} took the route of their data: {cases}.")
