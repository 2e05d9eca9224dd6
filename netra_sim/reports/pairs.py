"""A run and its control as pairs: the same users' same operations, and what the protection cost and what it saved.

An operation's twin is the one of the same user, name and number. Facts are plain values that both histories hold.
"""

from __future__ import annotations

import functools
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from netra_sim.checks.delivery import offences
from netra_sim.checks.model import full
from netra_sim.checks.views import audited, audited_rows
from netra_sim.kernel.history import History, Op
from netra_sim.reports import frames
from netra_sim.reports.difference import MOVED, NOTICED
from netra_sim.reports.frames import Point, Span, op_name

Sign = Literal["cost", "saved", "same", "busy"]
Key = tuple[str, str, int]  # user, operation, number
ENOUGH = 5  # operations that succeeded in both, before their times are compared
SHARE = 0.05  # by which tokens must differ: texts vary with ids that no seed draws
BUSY = 1.25  # a platform that took so many times as long to come up had less of the machine
_NO_USERS = {"start", "import_log"}  # what the lab does, not its users
_ALONGSIDE = {"send", "connect", "connect_refused", "refresh"}  # waited for within a question, beside it, or by nobody
_ON_DEMAND = {"connect", "refresh"}  # done as often as needed: more of them is not better


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was counted or timed in both runs, in `unit`.

    `sign`: a cost of the protection, something it saved, the same in both, or `busy`: worse in the run that had less of
    the machine, which may be all there is to it.
    """

    name: str
    unit: str
    protected: float
    control: float
    sign: Sign


@dataclass(frozen=True)
class Side:
    """One run of the pair: its operations of the users that are in both, by user, name and number."""

    history: History
    ops: dict[Key, Op]

    @cached_property
    def load(self) -> int:
        """When the load began, ns; of a history that does not tell, its start."""
        marks = self.history.seen("load_started")
        return marks[0].t if marks else self.history.start

    @cached_property
    def points(self) -> list[Point]:
        """The operations as points; their time counts from the beginning of the load."""
        return frames.points_of(self.ops.values(), self.load, self.history.end)

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The faults; their time counts from the beginning of the load."""
        late = self.history.seconds(self.load)
        return tuple(replace(s, start=s.start - late, end=s.end - late) for s in frames.spans(self.history))

    @cached_property
    def came_up(self) -> float | None:
        """Seconds from nothing to the beginning of the load."""
        return self.history.seconds(self.load) if self.history.seen("load_started") else None

    def of(self, f: str) -> dict[Key, Op]:
        """The operations of one name."""
        return {key: op for key, op in self.ops.items() if op.f == f}


@dataclass(frozen=True)
class Pair:
    """A run and its control, by the users that are in both."""

    users: tuple[str, ...]
    protected: Side
    control: Side

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """Every fact of which either run has something."""
        steady = (*_questions(self), *_refused(self), *_lost(self), *_spent(self))
        hasty = (self.blamed(fact) for fact in (*_operations(self), *_waits(self)))
        return tuple(fact for fact in (*steady, *hasty) if fact.protected or fact.control)

    @cached_property
    def slower(self) -> Side | None:
        """The run that had clearly less of the machine, told by how long it took to come up."""
        times = (self.protected.came_up, self.control.came_up)
        if not times[0] or not times[1] or max(times) <= BUSY * min(times):  # type: ignore[type-var, operator]
            return None
        return self.protected if times[0] > times[1] else self.control

    def blamed(self, fact: Fact) -> Fact:
        """The fact, signed `busy` where a machine with less time explains it."""
        worse = {"cost": self.protected, "saved": self.control}.get(fact.sign)
        return replace(fact, sign="busy") if worse is not None and worse is self.slower else fact

    def signed(self, sign: Sign) -> list[Fact]:
        """The facts of one sign."""
        return [fact for fact in self.facts if fact.sign == sign]


def pair(history: History, control: History) -> Pair:
    """A protected history and a control's, of the same seed; the control may have fewer users."""
    others = _users(control)
    users = tuple(user for user in _users(history) if user in others)
    return Pair(users, Side(history, _numbered(history, users)), Side(control, _numbered(control, users)))


def _users(history: History) -> dict[str, None]:
    return dict.fromkeys(op.actor for op in history.ops() if op.f not in _NO_USERS)


def _numbered(history: History, users: Iterable[str]) -> dict[Key, Op]:
    number = {user: dict[str, int]() for user in users}
    found = {}
    for op in history.ops():
        if op.actor in number and op.f not in _NO_USERS:
            of = number[op.actor]
            of[op.f] = of.get(op.f, 0) + 1
            found[op.actor, op.f, of[op.f]] = op
    return found


def _fact(name: str, unit: str, protected: float, control: float, *, more_is_better: bool = False) -> Fact:
    """A fact whose sign follows from who had more."""
    if protected == control:
        return Fact(name, unit, protected, control, "same")
    return Fact(name, unit, protected, control, "saved" if (protected > control) == more_is_better else "cost")


def _questions(both: Pair) -> Iterator[Fact]:
    """What became of each question that was asked in either run."""
    sides = [side.of("chat") for side in (both.protected, both.control)]
    asked = sides[0].keys() | sides[1].keys()
    ends = [[_end(side.get(key)) for key in asked] for side in sides]
    for end, name in _ENDS.items():
        yield _fact(name, "questions", ends[0].count(end), ends[1].count(end), more_is_better=end == "full")


_ENDS = {
    "full": "Questions answered in full",
    "part": "Questions answered in part",
    "fail": "Questions that failed",
    "unknown": "Questions left without an answer",
    "never": "Questions that users never got to ask",
}


def _end(op: Op | None) -> str:
    if op is None:
        return "never"
    return op.outcome if op.outcome != "ok" else "full" if full(op) else "part"


def _refused(both: Pair) -> Iterator[Fact]:
    """What became of forged and stale tokens: the operation succeeds when it is refused."""
    counts = [_outcomes(side, "connect_refused") for side in _two(both)]
    yield _fact("Bad tokens refused", "attempts", counts[0]["ok"], counts[1]["ok"], more_is_better=True)
    yield _fact("Bad tokens let in", "attempts", counts[0]["fail"], counts[1]["fail"])


def _operations(both: Pair) -> Iterator[Fact]:
    """How the operations other than questions ended."""
    for f in _names(both):
        if f in {"chat", "connect_refused"}:
            continue
        counts, name = [_outcomes(side, f) for side in _two(both)], op_name(f).capitalize()
        if f not in _ON_DEMAND:
            yield _fact(f"{name}: succeeded", "operations", counts[0]["ok"], counts[1]["ok"], more_is_better=True)
        yield _fact(f"{name}: failed", "operations", counts[0]["fail"], counts[1]["fail"])
        yield _fact(f"{name}: no answer", "operations", counts[0]["unknown"], counts[1]["unknown"])


def _outcomes(side: Side, f: str) -> Counter[str]:
    return Counter(op.outcome for op in side.of(f).values())


def _lost(both: Pair) -> Iterator[Fact]:
    """Messages and events."""
    messages = [_unstored(side) for side in _two(both)]
    if messages[0] is not None and messages[1] is not None:
        yield _fact("Messages acknowledged and then lost", "messages", messages[0], messages[1])
    events = [_events(side.history, both.users) for side in _two(both)]
    if events[0] is not None and events[1] is not None:
        for name in events[0]:
            yield _fact(name, "events", events[0][name], events[1][name])


def _unstored(side: Side) -> int | None:
    """Messages that were acknowledged before the auditor read the store, and which it did not hold."""
    reading = audited(side.history, "messages")
    if reading is None:
        return None
    kept = {str(row[1]) for row in reading.value.get("rows", ())}
    sent = [op for op in side.of("send").values() if op.outcome == "ok" and op.end is not None and op.end <= reading.t]
    return len({str(op.value.get("message_id")) for op in sent} - kept)


def _events(history: History, users: Iterable[str]) -> dict[str, int] | None:
    """Events that did not reach a user as they should; None when no durable event was recorded."""
    if not any(r.value.get("seq") is not None for r in history.seen("frame")):
        return None
    known = set(users)
    counts = dict.fromkeys(_PROBLEMS.values(), 0)
    for facts in _offences(history):
        if facts.get("actor") in known and facts["problem"] in _PROBLEMS:
            counts[_PROBLEMS[facts["problem"]]] += int(facts["events"])
    return counts


_offences = functools.lru_cache(maxsize=2)(offences)  # one run has many controls


_PROBLEMS = {
    "skipped": "Events missing from a user's stream",
    "undelivered": "Events missing from a user's stream",
    "repeated": "Events delivered twice",
    "reordered": "Events delivered out of order",
}


def _spent(both: Pair) -> Iterator[Fact]:
    """Calls of the model and what it wrote, for the questions asked in both; and attempts to come back."""
    asked = [{str(op.value.get("message_id")) for op in side.of("chat").values()} for side in _two(both)]
    same = asked[0] & asked[1]
    calls = [_calls(side.history, same) for side in _two(both)]
    if same and calls[0] is not None and calls[1] is not None:
        each = [round(len(rows) / len(same), 2) for rows in calls]  # type: ignore[arg-type]
        yield _fact("Model calls a question", "calls", each[0], each[1])
        yield _fact("Model calls made again", "calls", *(sum(map(_again, rows or ())) for rows in calls))
        wrote = [sum(int(row["tokens"]) for row in rows or ()) for rows in calls]
        tokens = _fact("Tokens the model wrote", "tokens", wrote[0], wrote[1])
        yield replace(tokens, sign="same") if abs(wrote[0] - wrote[1]) <= SHARE * min(wrote) else tokens
    known = set(both.users)
    tries = [sum(r.actor in known for r in side.history.seen("reconnect")) for side in _two(both)]
    yield _fact("Attempts to reconnect", "attempts", tries[0], tries[1])


def _calls(history: History, messages: set[str]) -> list[dict[str, Any]] | None:
    """The model's log for these messages: a call's draw is user/message/agent/stage/attempt."""
    rows = audited_rows(history, "llm_calls")
    return None if rows is None else [row for row in rows if f"{row['draw']}//".split("/")[1] in messages]


def _again(row: dict[str, Any]) -> bool:
    attempt = str(row["draw"]).rpartition("/")[2]
    return attempt.isdigit() and int(attempt) > 1


def _waits(both: Pair) -> Iterator[Fact]:
    """Waiting that came to nothing; median and slowest of the operations that succeeded in both."""
    yield _fact("Time waited for nothing", "s", *(_in_vain(side) for side in _two(both)))
    for f in _TIMED:
        sides = [side.of(f) for side in _two(both)]
        twins = [(sides[0][key], sides[1][key]) for key in sides[0].keys() & sides[1].keys()]
        good = [(a.seconds, b.seconds) for a, b in twins if a.outcome == b.outcome == "ok"]
        taken = [(a, b) for a, b in good if a is not None and b is not None]
        if len(taken) >= ENOUGH:
            protected, control = zip(*taken, strict=True)
            name = f"{op_name(f).capitalize()}, the same {len(taken):,} in both"
            yield _time(f"{name}: median", statistics.median(protected), statistics.median(control))
            yield _time(f"{name}: slowest", max(protected), max(control))


def _time(name: str, protected: float, control: float) -> Fact:
    """A duration; a small difference is none."""
    near = abs(protected - control) <= max(NOTICED, MOVED * min(protected, control))
    return Fact(name, "s", protected, control, "same") if near else _fact(name, "s", protected, control)


def _in_vain(side: Side) -> float:
    """Seconds that users waited for what failed or was not answered; what was never ended counts to the end."""
    return round(sum(p.seconds for p in side.points if p.outcome != "ok" and p.f not in _ALONGSIDE), 3)


def _names(both: Pair) -> list[str]:
    """The operations of either run, those of most users' time first."""
    used = {f for side in _two(both) for _, f, _ in side.ops}
    return [*(f for f in _ORDER if f in used), *sorted(used - set(_ORDER))]


_ORDER = ("chat", "send", "history", "login", "signup", "connect")
_TIMED = ("chat", "send", "history", "login")


def _two(both: Pair) -> tuple[Side, Side]:
    return both.protected, both.control
