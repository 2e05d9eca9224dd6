"""The order in which a run's agents may speak (reference: the five events)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from netra_sim.checks.evidence import Facts, counted, first_at, notable, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import (
    AGENT_EVENTS,
    COMPLETED,
    ENDINGS,
    EXECUTING,
    FIVE,
    RETURNED,
    STARTED,
    SUPERVISOR,
    Event,
    RunKey,
    audited,
    identities,
    run_events,
    stored,
)
from netra_sim.kernel.history import History

_EXPECTED = (
    "Every run's events are numbered without a gap, in legal order for each agent, enclosed by the supervisor's, "
    "and show all five kinds or end in an error or death."
)


def legal_events(
    *,
    name: str = "legal_events",
    proves: tuple[str, ...] = ("GP-AGENT.1",),
    controls: tuple[str, ...] = (),
) -> Check:
    """Each run's events, as received and as stored together, are gapless and in legal order."""
    return Check(name, _EXPECTED, proves, _judge, controls)


@dataclass
class Machine:
    """The legal order of one run: `feed` it the events in run_seq order; it answers what is wrong with one, or None."""

    agents: dict[str, str] = field(default_factory=dict)
    open: dict[str, tuple[str, str]] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)
    ending: str = ""

    def feed(self, event: Event) -> str | None:
        """Take one event; the first complaint of a run is the one that counts."""
        self.kinds.add(event.type)
        if self.ending:
            return f"{event.type} of {event.agent} comes after the supervisor's end"
        if event.type == STARTED:
            return self._start(event.agent)
        state = self.agents.get(event.agent, "absent")
        if state != "working":
            when = "before it started" if state == "absent" else "after it ended"
            return f"{event.type} of {event.agent} comes {when}"
        if event.type == EXECUTING:
            return self._call(event)
        if event.type == RETURNED:
            return self._return(event)
        return self._end(event) if event.type in ENDINGS else None

    def _start(self, agent: str) -> str | None:
        if agent in self.agents:
            return f"{agent} starts twice"
        if agent != SUPERVISOR and self.agents.get(SUPERVISOR) != "working":
            return f"{agent} starts before the supervisor"
        self.agents[agent] = "working"
        return None

    def _call(self, event: Event) -> str | None:
        if not event.call or event.call in self.calls:
            how = "under a used call id" if event.call else "without a call id"
            return f"{event.agent} calls {event.tool} {how}"
        self.calls.add(event.call)
        self.open[event.call] = (event.agent, event.tool)
        return None

    def _return(self, event: Event) -> str | None:
        if self.open.pop(event.call, None) != (event.agent, event.tool):
            return f"{event.tool} of {event.agent} completes a call that is not open"
        return None

    def _end(self, event: Event) -> str | None:
        running = [call for call, (agent, _) in self.open.items() if agent == event.agent]
        if event.type == COMPLETED and running:
            return f"{event.agent} completes while its tool {self.open[running[0]][1]} is running"
        for call in running:  # an agent that died takes its calls with it
            del self.open[call]
        self.agents[event.agent] = "ended"
        if event.agent != SUPERVISOR:
            return None
        self.ending = event.type
        working = [agent for agent, state in self.agents.items() if state == "working"]
        return f"the supervisor ends before {working[0]}" if working else self._lacking()

    def _lacking(self) -> str | None:
        missing = sorted(FIVE - self.kinds) if self.ending == COMPLETED else []
        return f"it completes without any {missing[0]}" if missing else None


def _judge(history: History) -> Finding:
    runs = run_events(history)
    known = dict.fromkeys([*runs, *_promised(history)])
    read = stored(history, (user for user, _ in known))
    bad: list[Facts] = []
    open_ = 0
    for key in known:
        events = runs.get(key, [])
        facts, ended = _complaint(key, events)
        if facts is None and not ended and key[0] in read:
            facts = _unended(key, events, history.seconds(read[key[0]].t))
        if facts is not None:
            bad.append(facts)
        elif not ended:
            open_ += 1
    if not known:
        return unknown("No run left an event.")
    if bad:
        evidence = notable(bad)
        told = f"{len(bad):,} of {counted(len(known), 'run')} broke the legal order, {first_at(bad)}"
        return Finding("fail", f"{told}: {evidence[0]['problem']} (run {evidence[0]['run']}).", evidence)
    if open_:
        return unknown(f"{open_:,} of {counted(len(known), 'run')} have no end, and the store was not read.")
    return Finding("pass", f"All {counted(len(known), 'run')} kept the legal order.")


def _promised(history: History) -> list[RunKey]:
    """Runs that must have events: those acknowledged to a user, and those in the runs table."""
    who = identities(history)
    sends = [op for op in history.ops("send") if op.outcome == "ok" and op.result.get("run_id")]
    table = audited(history, "runs")
    rows = table.value.get("rows", ()) if table else ()
    acknowledged = [(who[op.actor], str(op.result["run_id"])) for op in sends if op.actor in who]
    return [*acknowledged, *((str(row["user_id"]), str(row["run_id"])) for row in rows)]


def _complaint(key: RunKey, events: Sequence[Event]) -> tuple[Facts | None, bool]:
    """The run's first offence, if any, and whether the run has ended."""
    machine, number, seq = Machine(), 0, 0
    for event in events:
        problem = None
        if event.run_seq != number + 1:
            problem = f"event {event.run_seq} follows event {number}"
        elif event.seq <= seq:
            problem = f"event {event.run_seq} has an earlier seq than event {number}"
        elif event.type in AGENT_EVENTS:
            problem = machine.feed(event)
        number, seq = event.run_seq, event.seq
        if problem:
            facts = {"run_seq": event.run_seq, "agent": event.agent, "type": event.type, "problem": problem}
            return {"t": event.t, "user": key[0], "run": key[1], **facts}, True
    return None, bool(machine.ending)


def _unended(key: RunKey, events: Sequence[Event], read_at: float) -> Facts:
    problem = f"it stops after {events[-1].type} of {events[-1].agent}" if events else "it has no events at all"
    t = events[-1].t if events else round(read_at, 4)
    return {"t": t, "user": key[0], "run": key[1], "problem": problem}
