"""The history of a made-up run, with and without the protection."""

from dataclasses import dataclass, field

from netra_sim.kernel.history import History, Record
from netra_sim.kernel.rng import Rng

WALL = 1_790_000_000.0
T0 = 5_000_000_000_000
LOAD = 1.2  # seconds after the run's start
FAULTS = (
    ("kill", "postgres", 8.0, 12.0, 3),
    ("latency", "redis", 17.0, 22.0, 140),
    ("timeout", "llm", 19.0, 21.0, 9),
)
TOOLS = {
    "data": ("query_usage", "price_table", "query_latency"),
    "optimization": ("simulate_routing", "cache_hit_rate"),
}


@dataclass
class Tape:
    """Records in any order of time; `history` sorts them."""

    records: list[Record] = field(default_factory=list)
    last: int = 0

    def put(self, at: float, actor: str, f: str, phase: str, value: dict, id_: int | None = None) -> int:
        if id_ is None:
            self.last += 1
            id_ = self.last
        self.records.append(Record(T0 + round(at * 1e9), id_, actor, f, phase, value))
        return id_

    def op(self, at: float, took: float | None, actor: str, f: str, outcome: str, value: dict, result: dict) -> None:
        id_ = self.put(at, actor, f, "invoke", value)
        if took is not None:
            self.put(at + took, actor, f, outcome, result, id_)

    def history(self) -> History:
        return History(sorted(self.records, key=lambda r: r.t))


def history(
    protected: bool = True,
    users: int = 40,
    seconds: float = 30.0,
    seed: int = 7,
    faults=FAULTS,
    gauges: bool = False,
    cold: bool = False,
) -> History:
    """Users chat while Postgres is killed, Redis slow and the LLM silent; without the protection chats are lost.

    With `gauges` two workers tell of their state; when `cold` the services start before the load.
    """
    tape = Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": WALL, "schema": 1})
    load = LOAD
    if cold:
        _start(tape)
    if gauges:
        _gauges(tape, load, seconds, faults)
    tape.put(load, "run", "load_started", "seen", {"users": users, "planned_arrivals": users * 8})
    for kind, target, at, until, hits in faults:
        id_ = tape.put(load, "nemesis", kind, "planned", {"target": target, "at": at})
        if hits:
            tape.put(load + at, "nemesis", kind, "fired", {"target": target}, id_)
            tape.put(load + until, "nemesis", kind, "healed", {"hits": hits}, id_)
    rng = Rng(seed, ("sample",)).stream("load")
    events: dict[str, list[list]] = {}
    for user in range(users):
        _user(tape, rng, f"user-{user}", load, seconds, protected, events)
    for user_id, of in events.items():
        value = {"user_id": user_id, "seqs": [e[0] for e in of], "of": of}
        tape.put(load + seconds + 3, "auditor", "events", "seen", value)
    tape.put(load + seconds + 3.1, "auditor", "residue", "seen", {"left": []})
    return tape.history()


def _start(tape):
    """The lab's services come up, some side by side, until the load begins."""
    for what, at, until in (
        ("postgres", 0.01, 0.5), ("redis", 0.01, 0.06), ("llm", 0.02, 0.4), ("database", 0.52, 0.6),
        ("workers", 0.6, 1.1),
    ):  # fmt: skip
        tape.op(at, until - at, "lab", "start", "ok", {"what": what}, {})


def _gauges(tape, load, seconds, faults):
    """The breaker of a struck service opens, is tried and closes, in both workers; the second falls silent once."""
    rng = Rng(7, ("sample",)).stream("gauges")
    for number in (1, 2):
        breakers = dict.fromkeys(("postgres", "redis", "llm", "llm_fallback", "tool"), "closed")
        for at, changed in _changes(breakers, seconds, faults):
            breakers |= changed
            value = {"worker": f"lab_0-worker-{number}", "answers": False}
            if number == 1 or not 14.0 < at < 15.5:
                value = _state(value["worker"], breakers, rng)
            tape.put(load + at + number * 0.03, "observer", "gauges", "seen", value)


def _changes(breakers, seconds, faults):
    """What the breakers change to, at which second of the load; between, the other gauges move."""
    told = [(0.1 + step / 2, {}) for step in range(int(seconds * 2))]
    for _, target, at, until, hits in faults:
        if hits and target in breakers:
            told += [(at + 0.3, {target: "open"}), (until + 0.4, {target: "half_open"})]
            told += [(until + 0.9, {target: "closed"})]
    return sorted(told, key=lambda each: each[0])


def _state(worker, breakers, rng):
    """What GET /health/state tells."""
    failing = sum(state != "closed" for state in breakers.values())
    return {
        "worker": worker, "level": ("normal", "partial", "degraded", "minimal")[min(failing, 3)],
        "breakers": dict(breakers), "pool": {"size": 10, "used": rng.randint(0, 6) + 2 * failing},
        "sockets": 20, "runs": rng.randint(0, 9),
    }  # fmt: skip


def _user(tape, rng, actor, load, seconds, protected, events):
    at = load + rng.uniform(0, 2)
    tape.op(
        at,
        rng.lognormvariate(-3.2, 0.3),
        actor,
        "login",
        "ok",
        {"email": f"{actor}@example.org", "deadline_s": 0.5},
        {},
    )
    tape.op(at + 0.1, rng.lognormvariate(-4.6, 0.5), actor, "connect", "ok", {"via": "header", "deadline_s": 0.3}, {})
    at += 0.4
    number = 0
    while (at := at + rng.expovariate(1 / 3.2)) < load + seconds:
        number += 1
        _chat(tape, rng, actor, at, at - load, protected, events, number)


def _chat(tape, rng, actor, at, since, protected, events, number):
    lost = 8.0 <= since < 12.0
    slow = 17.0 <= since < 22.0
    silent = 19.0 <= since < 21.0
    message = {"message_id": f"{actor}-m{number}", "thread_id": f"{actor}-t", "deadline_s": 0.5}
    send = rng.lognormvariate(-4.4, 0.4) + (rng.uniform(0.02, 0.06) if slow else 0)
    outcome, result = "ok", {"run_id": f"{actor}-r{number}"}
    if lost:
        outcome, result = (
            ("ok", result) if rng.random() < 0.35 else ("fail", {"code": "store_unavailable", "message": "try again"})
        )
        send = rng.uniform(0.05, 0.42) if protected else rng.uniform(0.5, 4.5)
        if not protected and rng.random() < 0.3:
            outcome, result, send = "unknown", {"code": "timeout"}, None
    tape.op(at, send, actor, "send", outcome, message, result)
    if rng.random() < 0.25:
        tape.op(at + 0.01, rng.lognormvariate(-5, 0.5), actor, "history", "ok", {"deadline_s": 0.5}, {"status": 200})
    if outcome != "ok":
        return
    length, rows = _run(rng, actor, number, at)
    stuck = not protected and lost and rng.random() < 0.7
    chat, end = ("unknown", None) if stuck else ("ok", length + (rng.uniform(0.4, 0.9) if silent or lost else 0))
    if silent and not protected and rng.random() < 0.6:
        chat, end = "fail", 3.0
    tape.op(
        at,
        end,
        actor,
        "chat",
        chat,
        {**message, "deadline_s": 3.0},
        {"run_id": f"{actor}-r{number}", "status": "completed"},
    )
    mine = events.setdefault(f"u-{actor}", [])
    for t, type_, agent, tool, call, run_seq in rows:
        wall_ms = WALL * 1e3 + (at + t) * 1e3
        mine.append([len(mine) + 1, f"{actor}-r{number}", run_seq, type_, agent, tool, call, wall_ms])


def _run(rng, actor, number, at):
    """The events of one run by the full route, as (seconds, type, agent, tool, call, run_seq)."""
    rows, t = [(0.0, "agent_started", "supervisor", None, None)], 0.006
    for agent in ("triage", "data", "optimization", "actions", "reporting"):
        start = t
        rows.append((t, "agent_started", agent, None, None))
        rows.append((t + 0.012, "agent_thinking", agent, None, None))
        t += rng.lognormvariate(-2.9, 0.3)
        ends = [t]
        for tool in TOOLS.get(agent, ()):
            call, began, took = f"{actor}-{number}-{tool}", t + rng.uniform(0.001, 0.004), rng.lognormvariate(-3.6, 0.5)
            rows += [(began, "tool_executing", agent, tool, call), (began + took, "tool_completed", agent, tool, call)]
            ends.append(began + took)
        t = max(ends) + rng.uniform(0.02, 0.05)
        rows += [((start + t) / 2, "agent_thinking", agent, None, None), (t, "agent_completed", agent, None, None)]
        t += 0.004
    rows.append((t + 0.003, "agent_completed", "supervisor", None, None))
    rows.sort(key=lambda r: r[0])
    return t + 0.003, [(*row, seq) for seq, row in enumerate(rows, start=1)]
