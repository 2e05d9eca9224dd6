"""Tells histories: a legal run of the platform word by word, and edits that break exactly one thing in it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from netra_sim.checks.verdict import Check, Verdict, judge
from netra_sim.kernel.history import History, HistoryWriter, Outcome, Phase, Record

CONFIG = {"heartbeat_s": 2.5, "max_message_bytes": 8192, "rate_limit_per_minute": 10}
CHAIN = [["pending", "starting"], ["starting", "running"], ["running", "completing"], ["completing", "completed"]]
Where = Callable[[Record], bool]


class _Hand:
    """A clock that shows what the story says."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000

    def now_ns(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody sleeps in a story, not even {seconds} s")


class Story:
    """Each sentence takes `step` seconds; `at` sets the time since the start."""

    def __init__(self, step: float = 0.01) -> None:
        self._clock, self._step = _Hand(), step
        self._writer = HistoryWriter(self._clock)
        self._wall = float(self._writer.freeze().records[0].value["wall"])
        self._seq: dict[str, int] = {}
        self._stored: dict[str, list[list[Any]]] = {}
        self._runs: list[dict[str, Any]] = []
        self._messages: list[list[str]] = []
        self._sockets: dict[str, str] = {}
        self._opened = 0

    def at(self, seconds: float) -> Story:
        self._clock.ns = 1_000_000_000 + round(seconds * 1e9)
        return self

    def pass_(self, seconds: float) -> Story:
        self._clock.ns += round(seconds * 1e9)
        return self

    def op(
        self, actor: str, f: str, outcome: Outcome = "ok", took: float = 0.1, told: Any = None, **value: Any
    ) -> Story:
        id_ = self._writer.invoke(actor, f, **value)
        self.pass_(took)
        self._writer.complete(id_, actor, f, outcome, **(told or {}))
        return self.pass_(self._step)

    def open_op(self, actor: str, f: str, **value: Any) -> Story:
        self._writer.invoke(actor, f, **value)
        return self.pass_(self._step)

    def seen(self, actor: str, f: str, **value: Any) -> Story:
        self._writer.seen(actor, f, **value)
        return self.pass_(self._step)

    def fault(self, kind: str, target: str, fired: float | None, healed: float | None, hits: int = 1) -> Story:
        """Tell a whole fault, planned now."""
        id_ = self._writer.fault(None, kind, "planned", target=target)
        if fired is not None:
            self.at(fired)._writer.fault(id_, kind, "fired", target=target)
        if healed is not None:
            self.at(healed)._writer.fault(id_, kind, "healed", hits=hits)
        return self

    def login(self, actor: str) -> Story:
        self._seq.setdefault(user(actor), 0)
        return self.op(actor, "login", told={"user_id": user(actor), "tier": "free"}, deadline_s=1.0)

    def connect(self, actor: str, via: str = "header") -> Story:
        self._opened += 1
        self._sockets[actor] = f"c-{self._opened}"
        told = {
            "user_id": user(actor),
            "connection_id": self._sockets[actor],
            "subprotocol": "jwt-auth" if via == "subprotocol" else None,
            "config": CONFIG,
            "last_seq": self._seq[user(actor)],
            "worker": "w-1",
        }
        self.op(actor, "connect", told=told, via=via, deadline_s=1.0)
        about = {"user_id": user(actor), "connection": self._sockets[actor], "thread_id": None, "foreign": []}
        return self.seen(actor, "frame", type="system_message", seq=None, run_id=None, run_seq=None, **about)

    def send(self, actor: str, run: str) -> Story:
        """Send a message that is acknowledged and starts `run`."""
        message = f"m-{run}"
        self._messages.append([user(actor), message])
        self._runs.append({"run_id": run, "user_id": user(actor), "status": "completed"})
        told = {"run_id": run, "message_id": message}
        self.op(actor, "send", told=told, message_id=message, thread_id="t-1", deadline_s=1.0)
        return self.event(actor, run, 0, "message_accepted")

    def event(
        self, actor: str, run: str, run_seq: int, type_: str, agent: str = "", tool: str = "", call: str = ""
    ) -> Story:
        """A durable event: stored, and shown to its user."""
        seq = self._seq[user(actor)] = self._seq[user(actor)] + 1
        names = {"agent": agent or None, "tool": tool or None, "call": call or None}
        t_ms = (self._wall + self._clock.ns / 1e9 - 1) * 1000
        self._stored.setdefault(user(actor), []).append([seq, run, run_seq, type_, *names.values(), t_ms])
        about = {"user_id": user(actor), "connection": self._sockets[actor], "thread_id": "t-1", "foreign": []}
        return self.seen(actor, "frame", type=type_, seq=seq, run_id=run, run_seq=run_seq, **names, **about)

    def chat(self, actor: str, run: str, route: str = "sufficient") -> Story:
        """A whole chat: the message, all events of its run, the answer."""
        self.send(actor, run)
        for number, (type_, agent, tool, call) in enumerate(script(route), start=1):
            self.event(actor, run, number, type_, agent, tool, call)
        return self.op(actor, "chat", told={"run_id": run, "status": "completed"}, message_id=f"m-{run}", took=0)

    def audit(self) -> Story:
        """What an auditor finds who looks at the end."""
        self.seen("auditor", "messages", rows=[list(row) for row in self._messages])
        self.seen("auditor", "runs", rows=[dict(row) for row in self._runs])
        for row in self._runs:
            self.seen("auditor", "transitions", run_id=row["run_id"], chain=CHAIN)
        for user_id, rows in self._stored.items():
            self.seen("auditor", "events", user_id=user_id, seqs=[row[0] for row in rows], of=rows)
        self.seen("auditor", "foreign_rows", rows=[])
        return self.seen("auditor", "residue", left=[])

    def end(self) -> History:
        return self._writer.freeze()


def user(actor: str) -> str:
    """The user id behind an actor."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, actor))


def script(route: str) -> list[tuple[str, str, str, str]]:
    """The legal events of a run: (type, agent, tool, call)."""
    middle = {
        "sufficient": [*_agent("data", "data"), *_agent("optimization"), *_agent("actions")],
        "partial": _side_by_side(_agent("data_helper"), _agent("data", "data")),
        "insufficient": _agent("data_helper", "data_helper"),
    }[route]
    inner = [*_agent("triage"), *middle, *_agent("reporting")]
    return [("agent_started", "supervisor", "", ""), *inner, ("agent_completed", "supervisor", "", "")]


def _agent(agent: str, tools_of: str = "") -> list[tuple[str, str, str, str]]:
    calls = [(f"{tools_of}_{n}", f"call-{tools_of}-{n}") for n in (1, 2)] if tools_of else []
    return [
        ("agent_started", agent, "", ""),
        ("agent_thinking", agent, "", ""),
        *(("tool_executing", agent, tool, call) for tool, call in calls),
        *(("tool_completed", agent, tool, call) for tool, call in calls),
        ("agent_completed", agent, "", ""),
    ]


def _side_by_side(one: list[Any], other: list[Any]) -> list[Any]:
    return [each for pair in zip(one, other, strict=False) for each in pair] + other[len(one) :]


def good() -> History:
    """Three users, one run a route, a lost socket in between; all stay for a while before the store is looked at."""
    story = Story().seen("run", "load_started")
    for actor, via in (("user-1", "header"), ("user-2", "subprotocol"), ("user-3", "header")):
        story.login(actor).connect(actor, via)
    story.chat("user-1", "r-1", "sufficient").chat("user-2", "r-2", "partial").chat("user-3", "r-3", "insufficient")
    story.connect("user-1").chat("user-1", "r-4", "partial")
    story.pass_(2.0)
    for actor in ("user-1", "user-2", "user-3"):
        story.op(actor, "history", told={"status": 200, "messages": 2}, thread_id="t-1", deadline_s=1.0)
    story.seen("run", "load_ended", users=3, planned_arrivals=3)
    return story.audit().end()


def about(f: str, phase: str = "seen", **value: Any) -> Where:
    """Selects records by name, phase and values; `actor` is an actor."""
    actor = value.pop("actor", None)

    def matches(r: Record) -> bool:
        same = all(r.value.get(key) == wanted for key, wanted in value.items())
        return r.f == f and r.phase == phase and actor in (None, r.actor) and same

    return matches


def only(history: History, where: Where) -> int:
    """The index of the first record that matches; there must be one."""
    return next(n for n, r in enumerate(history.records) if where(r))


def without(history: History, where: Where) -> History:
    """The first match is gone."""
    n = only(history, where)
    return History(history.records[:n] + history.records[n + 1 :])


def twice(history: History, where: Where, later: int = 0) -> History:
    """The first match stands again, right behind itself or some records later."""
    n = only(history, where)
    copy = replace(history.records[n], t=history.records[n + later].t)
    return History((*history.records[: n + later + 1], copy, *history.records[n + later + 1 :]))


def inserted(history: History, where: Where, actor: str, f: str, phase: Phase, **value: Any) -> History:
    """One more record right before the first match."""
    n = only(history, where)
    record = Record(history.records[n].t, 1_000_000, actor, f, phase, value)
    return History((*history.records[:n], record, *history.records[n:]))


def swapped(history: History, one: Where, other: Where) -> History:
    """Two matches have changed places, each keeping the place's time."""
    a, b = only(history, one), only(history, other)
    records = list(history.records)
    records[a], records[b] = replace(records[b], t=records[a].t), replace(records[a], t=records[b].t)
    return History(records)


def told(history: History, where: Where, **value: Any) -> History:
    """The first match says something else."""
    n = only(history, where)
    changed = replace(history.records[n], value={**history.records[n].value, **value})
    return History((*history.records[:n], changed, *history.records[n + 1 :]))


def renamed(history: History, where: Where, **fields: Any) -> History:
    """The first match has another actor, phase, time or name."""
    n = only(history, where)
    return History((*history.records[:n], replace(history.records[n], **fields), *history.records[n + 1 :]))


def value_of(history: History, where: Where) -> dict[str, Any]:
    """What the first match says."""
    return history.records[only(history, where)].value


def restored(history: History, actor: str, change: Callable[[list[list[Any]]], Iterable[list[Any]]]) -> History:
    """The auditor found other events of this user: `change` takes and gives rows seq, run, run_seq, type, …"""
    where = about("events", user_id=user(actor))
    rows = [list(row) for row in change([list(row) for row in value_of(history, where)["of"]])]
    return told(history, where, of=rows, seqs=[row[0] for row in rows])


def passes(check: Check, history: History) -> Verdict:
    verdict = judge(check, history)
    assert verdict.outcome == "pass", verdict
    assert verdict.observed.endswith("."), verdict
    return verdict


def convicts(check: Check, history: History, *words: str) -> Verdict:
    verdict = judge(check, history)
    assert verdict.outcome == "fail", verdict
    assert 1 <= len(verdict.evidence) <= 3, verdict
    assert all("t" in facts and "which" in facts for facts in verdict.evidence), verdict
    for word in words:
        assert word in verdict.observed, verdict
    return verdict


def cannot_tell(check: Check, history: History, *words: str) -> Verdict:
    verdict = judge(check, history)
    assert verdict.outcome == "unknown", verdict
    assert "crashed" not in verdict.observed or "crashed" in words, verdict
    for word in words:
        assert word in verdict.observed, verdict
    return verdict
