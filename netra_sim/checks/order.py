"""What must wait for what in a run, and what must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netra_sim.checks.evidence import Facts, counted, first_at, notable, percent, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import COMPLETED, ENDINGS, EXECUTING, RETURNED, STARTED, Event, run_events
from netra_sim.kernel.history import History

# By route of triage: which agents each agent waits for.
ROUTES: dict[str, dict[str, tuple[str, ...]]] = {
    "sufficient": {
        "triage": (),
        "data": ("triage",),
        "optimization": ("data",),
        "actions": ("optimization",),
        "reporting": ("actions",),
    },
    "partial": {
        "triage": (),
        "data_helper": ("triage",),
        "data": ("triage",),
        "reporting": ("data_helper", "data"),
    },
    "insufficient": {"triage": (), "data_helper": ("triage",), "reporting": ("data_helper",)},
}
AGENTS = frozenset(agent for route in ROUTES.values() for agent in route)


@dataclass(frozen=True, slots=True)
class Span:
    """An agent's or a tool call's life in run_seq; `end` is None while it has none."""

    start: int
    end: int | None
    ending: str
    t: float

    def overlaps(self, other: Span) -> bool:
        """Whether each starts before the other ends."""
        return (other.end is None or self.start < other.end) and (self.end is None or other.start < self.end)


def dependencies_hold(
    *,
    name: str = "dependencies_hold",
    proves: tuple[str, ...] = ("GP-AGENT.4",),
    controls: tuple[str, ...] = (),
) -> Check:
    """An agent starts only after every agent it depends on in its route has ended."""
    return Check(name, "No agent starts before every agent it depends on has ended.", proves, _dependencies, controls)


def independent_overlap(
    at_least: float = 0.9,
    of: tuple[str, ...] = ("tools", "agents"),
    *,
    name: str = "independent_overlap",
    proves: tuple[str, ...] = ("GP-AGENT.4",),
    controls: tuple[str, ...] = (),
) -> Check:
    """Independent steps overlap in at least this share of the pairs, for each kind that `of` names.

    `tools`: two tool calls of one agent. `agents`: data and data_helper in a partial route. A kind without a pair
    is unknown.
    """

    def judge(history: History) -> Finding:
        pairs = _pairs(history)
        totals = {kind: sum(pair["pairs"] for pair in pairs[kind]) for kind in of}
        apart = {kind: [pair for pair in pairs[kind] if pair["apart"]] for kind in of}
        met = {kind: totals[kind] - sum(pair["apart"] for pair in apart[kind]) for kind in of}
        bad = [pair for kind in of if met[kind] < at_least * totals[kind] for pair in apart[kind]]
        told = "; ".join(_overlap(kind, met[kind], totals[kind]) for kind in of)
        if bad:
            return Finding("fail", f"{told}.", notable(bad, lambda pair: float(pair["apart"])))
        return Finding("pass" if all(totals.values()) else "unknown", f"{told}.")

    what = " and of ".join({"tools": "tools of one agent", "agents": "data and data_helper"}[kind] for kind in of)
    expected = f"Independent steps run in parallel: at least {at_least * 100:g} % of the pairs of {what} overlap."
    return Check(name, expected, proves, judge, controls)


def _overlap(kind: str, met: int, total: int) -> str:
    if not total:
        return f"No two independent {kind} ran"
    return f"{met:,} of {counted(total, 'pair')} of independent {kind} overlapped ({percent(met, total)})"


def route_problems(spans: dict[str, Span]) -> list[tuple[str, str]]:
    """(agent, what is wrong) under the route that fits best the agents that ran; empty when all is well."""
    fitting = [route for route in ROUTES.values() if spans.keys() <= route.keys()]
    if not fitting:
        return [(min(spans, key=lambda agent: spans[agent].start), f"no route has {', '.join(sorted(spans))}")]
    return min((_broken(route, spans) for route in fitting), key=len)


def agent_spans(events: Sequence[Event]) -> dict[str, Span]:
    """Each routed agent's life, from its first start to its first end after that."""
    spans: dict[str, Span] = {}
    for event in events:
        if event.agent not in AGENTS:
            continue
        if event.type == STARTED:
            spans.setdefault(event.agent, Span(event.run_seq, None, "", event.t))
        elif event.type in ENDINGS and event.agent in spans and spans[event.agent].end is None:
            spans[event.agent] = Span(spans[event.agent].start, event.run_seq, event.type, spans[event.agent].t)
    return spans


def _broken(route: dict[str, tuple[str, ...]], spans: dict[str, Span]) -> list[tuple[str, str]]:
    return [
        (agent, f"{agent} starts before {needed} has ended")
        for agent in route
        if agent in spans
        for needed in route[agent]
        if not _satisfied(route, spans, agent, needed)
    ]


def _satisfied(route: dict[str, tuple[str, ...]], spans: dict[str, Span], agent: str, needed: str) -> bool:
    if needed in spans:
        end = spans[needed].end
        return end is not None and end < spans[agent].start
    return _excused(route, spans, agent, needed)


def _excused(route: dict[str, tuple[str, ...]], spans: dict[str, Span], agent: str, absent: str) -> bool:
    """An agent may be left out when one it needed failed in time, or was itself left out for that reason."""
    for needed in route[absent]:
        if needed not in spans:
            if _excused(route, spans, agent, needed):
                return True
        elif spans[needed].ending not in ("", COMPLETED) and _satisfied(route, spans, agent, needed):
            return True
    return False


def _dependencies(history: History) -> Finding:
    bad: list[Facts] = []
    judged = 0
    for (user, run), events in run_events(history).items():
        spans = agent_spans(events)
        judged += len(spans) > 1
        for agent, problem in route_problems(spans) if spans else ():
            facts = {"user": user, "run": run, "agent": agent, "run_seq": spans[agent].start, "problem": problem}
            bad.append({"t": spans[agent].t, **facts})
    if bad:
        evidence = notable(bad)
        told = f"{counted(len(bad), 'agent start')} out of {counted(judged, 'run')} came too early, {first_at(bad)}"
        return Finding("fail", f"{told}: {evidence[0]['problem']} (run {evidence[0]['run']}).", evidence)
    if not judged:
        return unknown("No run had two agents that depend on each other.")
    return Finding("pass", f"In all {counted(judged, 'run')} every agent waited for those it depends on.")


def _pairs(history: History) -> dict[str, list[Facts]]:
    found: dict[str, list[Facts]] = {"tools": [], "agents": []}
    for (user, run), events in run_events(history).items():
        found["tools"] += [{"user": user, "run": run, **facts} for facts in _tool_pairs(events)]
        spans = agent_spans(events)
        data, helper = spans.get("data"), spans.get("data_helper")
        if data and helper:
            apart = int(not data.overlaps(helper))
            found["agents"].append({"t": data.t, "user": user, "run": run, "pairs": 1, "apart": apart})
    return found


def _tool_pairs(events: Sequence[Event]) -> list[Facts]:
    """For each agent with at least two completed calls: how many pairs of them there were, and how many kept apart."""
    done = {event.call for event in events if event.type == RETURNED}
    running: dict[str, set[str]] = {}
    told: dict[str, Facts] = {}
    for event in events:
        if event.call not in done:
            continue
        now = running.setdefault(event.agent, set())
        if event.type == EXECUTING:
            fresh = {"t": event.t, "agent": event.agent, "calls": 0, "pairs": 0, "apart": 0}
            facts = told.setdefault(event.agent, fresh)
            facts["pairs"] += facts["calls"]
            facts["apart"] += facts["calls"] - len(now)
            facts["calls"] += 1
            now.add(event.call)
        elif event.type == RETURNED:
            now.discard(event.call)
    return [facts for facts in told.values() if facts["pairs"]]
