"""Views of a history that several checks share: who is who, what the auditor read, and the events of each run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from netra_sim.kernel.history import History, Record

STARTED, THINKING, EXECUTING, RETURNED, COMPLETED = (
    "agent_started",
    "agent_thinking",
    "tool_executing",
    "tool_completed",
    "agent_completed",
)
ENDINGS = frozenset({COMPLETED, "agent_error", "agent_death"})
FIVE = frozenset({STARTED, THINKING, EXECUTING, RETURNED, COMPLETED})
AGENT_EVENTS = FIVE | ENDINGS
SUPERVISOR = "supervisor"

RunKey = tuple[str, str]  # user id, run id
_COLUMNS = ("seq", "run_id", "run_seq", "type", "agent", "tool", "call", "t_ms")  # of the auditor's events


@dataclass(frozen=True, slots=True)
class Event:
    """One durable event of a run; two sources that tell the same are one event. `t` is in s since start."""

    user: str
    run: str
    run_seq: int
    seq: int
    type: str
    agent: str
    tool: str
    call: str
    t: float = field(compare=False)


def identities(history: History) -> dict[str, str]:
    """Each actor's user id, as his first login or sign-up told it."""
    who: dict[str, str] = {}
    for op in history.ops("login", "signup"):
        if op.outcome == "ok" and op.result.get("user_id"):
            who.setdefault(op.actor, str(op.result["user_id"]))
    return who


def audited(history: History, name: str) -> Record | None:
    """The auditor's last reading of this name, or None when he took none."""
    readings = [record for record in history.seen(name) if record.actor == "auditor"]
    return readings[-1] if readings else None


def audited_rows(history: History, name: str) -> list[dict[str, Any]] | None:
    """The rows of the auditor's last reading of this name, or None when he took none."""
    reading = audited(history, name)
    return None if reading is None else list(reading.value.get("rows", ()))


def workloads(history: History) -> dict[str, dict[str, Any]]:
    """Each tenant's workload as his log was made, by user id; a user without one has no data."""
    return {str(r.value["user_id"]): r.value for r in history.seen("workload") if r.actor == "auditor"}


def stored(history: History, users: Iterable[str] = ()) -> dict[str, Record]:
    """The auditor's last reading of each user's events, by user id.

    Those of `users` of whom he found no event have an empty reading, provided that he read the runs at all.
    """
    readings = {str(r.value["user_id"]): r for r in history.seen("events") if r.actor == "auditor"}
    table = audited(history, "runs")
    if table is not None:
        for user in users:
            readings.setdefault(user, replace(table, f="events", value={"user_id": user, "seqs": [], "of": []}))
    return readings


def wall_to_run(history: History, t_ms: float) -> float:
    """A wall-clock time (epoch, ms) as seconds since the run's start."""
    return t_ms / 1000 - float(history.records[0].value["wall"])


def run_events(history: History) -> dict[RunKey, list[Event]]:
    """Each run's events in run_seq order: the union of what its user received and what the store holds.

    An event that both tell alike counts once; where they differ both stay, so the run's numbering has a duplicate.
    The acceptance of the message (run_seq 0) is not one of them.
    """
    events: dict[Event, Event] = {}
    for event in (*_received(history), *_kept(history)):
        if event.type in AGENT_EVENTS or event.run_seq > 0:
            events.setdefault(event, event)
    runs: dict[RunKey, list[Event]] = {}
    for event in events:
        runs.setdefault((event.user, event.run), []).append(event)
    for each in runs.values():
        each.sort(key=lambda event: (event.run_seq, event.seq))
    return runs


def _received(history: History) -> Iterator[Event]:
    for r in history.seen("frame"):
        if r.value.get("seq") is not None and r.value.get("run_id"):
            yield _event(str(r.value.get("user_id")), r.value, history.seconds(r.t))


def _kept(history: History) -> Iterator[Event]:
    for user, record in stored(history).items():
        for row in record.value.get("of", ()):
            told = dict(zip(_COLUMNS, row, strict=True))
            if told["run_id"]:
                yield _event(user, told, wall_to_run(history, told["t_ms"]))


def _event(user: str, told: Mapping[str, Any], t: float) -> Event:
    run, type_, agent, tool, call = (str(told.get(key) or "") for key in ("run_id", "type", "agent", "tool", "call"))
    return Event(user, run, int(told.get("run_seq") or 0), int(told["seq"]), type_, agent, tool, call, round(t, 4))
