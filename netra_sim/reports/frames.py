"""A history as the plain values that plots draw: points, rates, fault spans, one run's bars."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from netra_sim.kernel.history import Fault, History, Op, Outcome

OUTCOMES: tuple[Outcome, ...] = ("ok", "fail", "unknown")
AGENTS = ("supervisor", "triage", "data_helper", "data", "optimization", "actions", "reporting")
_ENDS: dict[str, Outcome] = {"agent_completed": "ok", "agent_error": "fail", "agent_death": "fail"}
_SERVICES = {
    "postgres": "Postgres",
    "redis": "Redis",
    "clickhouse": "ClickHouse",
    "llm": "LLM",
    "edge": "users' edge",
    "edge-2": "one users' edge",
}
_KINDS = {
    "kill": "{} killed",
    "pause": "{} paused",
    "restart": "{} restarted",
    "down": "{} down",
    "latency": "{} slow",
    "timeout": "{} silent",
    "reset_peer": "{} connections reset",
    "bandwidth": "{} throttled",
    "slow_close": "{} slow to close",
    "slicer": "{} data in slices",
    "limit_data": "{} cut off after some bytes",
    "corrupt": "{} data corrupted",
    "partition": "{} partitioned",
    "refuse": "{} refuses connections",
    "black_hole": "{} a black hole",
    "script": "{} misbehaves",
    "read_only": "{} read-only",
    "out_of_memory": "{} out of memory",
}
_STEPS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Point:
    """One operation: begun `at` s, took `seconds` (not `ended`: until the end), held to `limit` s.

    `abandoned` is what its user gave up by himself.
    """

    at: float
    seconds: float
    f: str
    outcome: Outcome
    limit: float | None
    ended: bool = True
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A fault from `start` to `end` seconds; one not `fired` stands where it was due, one not `struck` hit nothing."""

    name: str
    start: float
    end: float
    fired: bool = True
    struck: bool = True


@dataclass(frozen=True, slots=True)
class Throughput:
    """Operations a second in bins between `edges` (seconds): `asked` when begun, `done` by outcome when ended."""

    edges: tuple[float, ...]
    asked: tuple[float, ...]
    done: dict[Outcome, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Event:
    """A durable event of a run, `ms` after the run's first."""

    ms: float
    type: str
    agent: str
    tool: str
    call: str


@dataclass(frozen=True, slots=True)
class Bar:
    """What an agent or a tool did from `start` to `end` ms; `closed` when its end was seen; `marks`: thinking."""

    lane: str
    label: str
    start: float
    end: float
    outcome: Outcome
    closed: bool = True
    marks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFrame:
    """One agent run: its events in order, the bars they make, and the faults of its time in ms.

    Its first event was `began` seconds after the history's start.
    """

    run_id: str
    events: tuple[Event, ...]
    bars: tuple[Bar, ...]
    spans: tuple[Span, ...]
    began: float


@dataclass(slots=True)
class _Open:
    """A bar whose end has not been seen yet."""

    lane: str
    label: str
    start: float
    marks: list[float] = field(default_factory=list)

    def close(self, end: float, outcome: Outcome, closed: bool = True) -> Bar:
        return Bar(self.lane, self.label, self.start, end, outcome, closed, tuple(self.marks))


def points(history: History, *names: str) -> list[Point]:
    """Every operation, or those with one of these names, as a point of time and duration."""
    return points_of(history.ops(*names), history.start, history.end)


def points_of(ops: Iterable[Op], zero: int, end: int) -> list[Point]:
    """These operations as points, timed from `zero`; what never ended took until `end` (both ns)."""
    return [_point(op, zero, end) for op in ops]


def throughput(history: History, bins: int = 60) -> Throughput:
    """Rates over the time of the operations, in at most `bins` bins of a round width."""
    zero = history.start
    begun = [((op.start - zero) / 1e9, op.outcome) for op in history.ops()]
    ended = [((op.end - zero) / 1e9, op.outcome) for op in history.ops() if op.end is not None]
    ended += [((op.start - zero) / 1e9, op.outcome) for op in history.ops() if op.end is None]
    edges = steps([t for t, _ in begun + ended], bins)
    done = {o: _rates([t for t, outcome in ended if outcome == o], edges) for o in OUTCOMES}
    return Throughput(edges, _rates([t for t, _ in begun], edges), done)


def spans(history: History) -> list[Span]:
    """The faults in the order in which they struck; one that never fired stands where it was due."""
    zero, end = history.start, history.end
    loads = history.seen("load_started")
    load = (loads[0].t - zero) / 1e9 if loads else 0.0
    found = [_span(fault, zero, end, load) for fault in history.faults()]
    return sorted(found, key=lambda span: span.start)


def fault_name(kind: str, target: str) -> str:
    """A fault in plain words, e.g. `Postgres killed`."""
    service = _SERVICES.get(target, target)
    return _KINDS.get(kind, "{}: " + kind.replace("_", " ")).format(service or "all")


def service_name(name: str) -> str:
    """A service or dependency as a label shows it."""
    return _SERVICES.get(name, name.replace("_", " "))


def op_name(f: str) -> str:
    """An operation's name as a legend shows it."""
    return {"connect_refused": "connect, bad token", "history": "read history"}.get(f, f.replace("_", " "))


@functools.lru_cache(maxsize=1)  # a page draws it twice, wide and narrow, and asks before whether there is one
def run_frame(history: History, run_id: str | None = None) -> RunFrame | None:
    """One run's sequence, or None when no such run was seen; by default the longest that lived through most faults."""
    rows, struck = _rows(history), _struck(history)
    known = [each for each in ([run_id] if run_id is not None else sorted(rows)) if each in rows]
    chosen = max(known, key=lambda each: (len(_lived_through(rows[each], struck)), len(rows[each])), default=None)
    return None if chosen is None else _run(chosen, rows[chosen], struck, _epoch_ms(history, history.start))


def lanes(bars: Iterable[Bar]) -> list[str]:
    """The lanes in use, agents in the order of the platform, tools last."""
    used = {bar.lane for bar in bars}
    others = sorted(used - set(AGENTS) - {"tools"})
    return [lane for lane in (*AGENTS, *others, "tools") if lane in used]


def pack(extents: Sequence[tuple[float, float]]) -> list[int]:
    """A row for each extent, the lowest free one, so that none overlaps another in its row."""
    ends: list[float] = []
    rows = []
    for start, end in extents:
        row = next((i for i, taken in enumerate(ends) if taken <= start), len(ends))
        ends[row : row + 1] = [end]
        rows.append(row)
    return rows


def steps(times: list[float], bins: int) -> tuple[float, ...]:
    """The edges of at most `bins` (or one more) bins of a round width that hold all the times."""
    first, last = min(times, default=0.0), max(times, default=1.0)
    step = next((s for s in _STEPS if (last - first) / s <= bins), (last - first) / bins)
    low = math.floor(first / step)
    return tuple(round(i * step, 6) for i in range(low, math.floor(last / step) + 2))


def _point(op: Op, zero: int, end: int) -> Point:
    limit = op.value.get("deadline_s")
    seconds = op.seconds if op.seconds is not None else (end - op.start) / 1e9
    held_to = float(limit) if limit is not None else None
    abandoned = bool(op.result.get("abandoned"))
    return Point((op.start - zero) / 1e9, seconds, op.f, op.outcome, held_to, op.end is not None, abandoned)


def _rates(times: list[float], edges: tuple[float, ...]) -> tuple[float, ...]:
    step = edges[1] - edges[0]
    counts = [0] * (len(edges) - 1)
    for t in times:
        counts[min(int((t - edges[0]) / step), len(counts) - 1)] += 1
    return tuple(count / step for count in counts)


def _span(fault: Fault, zero: int, end: int, load: float) -> Span:
    name = fault_name(fault.kind, fault.target)
    if fault.fired is None:
        due = load + float(fault.value.get("at", 0.0))
        return Span(name, due, due, fired=False, struck=False)
    healed = fault.healed if fault.healed is not None else end
    return Span(name, (fault.fired - zero) / 1e9, (healed - zero) / 1e9, struck=fault.hits > 0)


def _rows(history: History) -> dict[str, list[tuple[float, Event]]]:
    """Events by run as (epoch ms, event): the auditor's rows, or the frames as they arrived where it read none."""
    rows: dict[str, dict[int, tuple[float, Event]]] = {}
    for record in history.seen("events"):
        for _, run_id, run_seq, type_, agent, tool, call, t_ms in record.value.get("of", []):
            event = Event(0.0, type_, agent or "", tool or "", call or "")
            rows.setdefault(run_id, {}).setdefault(run_seq, (float(t_ms), event))
    for record in history.seen("frame") if not rows else ():
        value = record.value
        if value.get("seq") is not None and value.get("run_id") and str(value["type"]).startswith(("agent_", "tool_")):
            event = Event(0.0, value["type"], *(str(value.get(k) or "") for k in ("agent", "tool", "call")))
            rows.setdefault(value["run_id"], {}).setdefault(value["run_seq"], (_epoch_ms(history, record.t), event))
    return {run_id: [by_seq[n] for n in sorted(by_seq)] for run_id, by_seq in rows.items()}


def _epoch_ms(history: History, t: int) -> float:
    starts = history.seen("start")
    wall = float(starts[0].value.get("wall", 0.0)) if starts else 0.0
    return wall * 1e3 + (t - history.start) / 1e6


def _struck(history: History) -> list[Span]:
    """The faults that fired, in epoch ms, the time of the auditor's rows."""
    zero = _epoch_ms(history, history.start)
    return [Span(s.name, zero + s.start * 1e3, zero + s.end * 1e3) for s in spans(history) if s.fired]


def _run(run_id: str, rows: list[tuple[float, Event]], struck: list[Span], zero: float) -> RunFrame:
    first, last = min(t for t, _ in rows), max(t for t, _ in rows)
    events = tuple(replace(event, ms=t - first) for t, event in rows)
    seen = tuple(
        Span(s.name, max(s.start, first) - first, min(s.end, last) - first) for s in _lived_through(rows, struck)
    )
    return RunFrame(run_id, events, tuple(_bars(events, last - first)), seen, (first - zero) / 1e3)


def _lived_through(rows: list[tuple[float, Event]], struck: list[Span]) -> list[Span]:
    first, last = min(t for t, _ in rows), max(t for t, _ in rows)
    return [s for s in struck if s.start < last and s.end > first]


def _bars(events: tuple[Event, ...], last: float) -> list[Bar]:
    done: list[Bar] = []
    agents: dict[str, _Open] = {}
    tools: dict[str, _Open] = {}
    for event in events:
        if event.type == "agent_started":
            agents[event.agent] = _Open(event.agent, "", event.ms)
        elif event.type == "agent_thinking" and event.agent in agents:
            agents[event.agent].marks.append(event.ms)
        elif event.type in _ENDS:
            bar = agents.pop(event.agent, _Open(event.agent, "", event.ms))
            done.append(bar.close(event.ms, _ENDS[event.type]))
        elif event.type == "tool_executing":
            tools[event.call] = _Open("tools", event.tool, event.ms)
        elif event.type == "tool_completed" and event.call in tools:
            done.append(tools.pop(event.call).close(event.ms, "ok"))
    left = [*agents.values(), *tools.values()]
    done += [bar.close(last, "unknown", closed=False) for bar in left]
    return sorted(done, key=lambda bar: (bar.start, bar.lane, bar.label))
