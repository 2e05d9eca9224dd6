"""A made-up run with the shape of a real one: histories with and without the protection, results, a notebook."""

import json
from dataclasses import dataclass, field
from pathlib import Path

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


def check(name, outcome="pass", proves=(), controls=(), observed="", expected="", evidence=()):
    """A verdict as result.json holds it."""
    return {
        "check": name, "outcome": outcome, "expected": expected or f"{name} holds", "observed": observed or "as told",
        "proves": list(proves), "evidence": list(evidence), "controls": list(controls),
    }  # fmt: skip


OFFENCES = (
    {
        "t": T0 + 9_412_000_000,
        "id": 812,
        "actor": "user-11",
        "f": "send",
        "message_id": "user-11-m3",
        "run_id": "user-11-r3",
    },
    {
        "t": T0 + 11_900_000_000,
        "id": 1034,
        "actor": "user-29",
        "f": "send",
        "message_id": "user-29-m4",
        "run_id": "user-29-r4",
    },
)
EXPECTED = {
    "acknowledged-writes": "every message that was acknowledged is in Postgres after the restart",
    "held-past-deadline": "no request is held longer than its deadline (0.5 s; a chat 3 s)",
    "delivery": "every event is delivered exactly once, gapless and in order",
    "recovery": "the first success comes within 6 s of the heal",
    "clear-refusals": "every refused send carries a stable code and when to try again",
}
PROVES = {
    "acknowledged-writes": ["IC-C1.1"], "held-past-deadline": ["IC-C1.2"], "delivery": ["T20-03.4"],
    "recovery": ["IC-C1.2"], "clear-refusals": ["IC-C6.3"],
}  # fmt: skip
OBSERVED = {
    "acknowledged-writes": "287 of 287 found",
    "held-past-deadline": "longest 0.47 s (send), 2.31 s (chat)",
    "delivery": "7,311 events, none lost, none twice",
    "recovery": "0.84 s",
    "clear-refusals": "31 of 31",
}
SUFFERED = {
    "acknowledged-writes": "14 of 287 are missing: the first is user-11-m3",
    "held-past-deadline": "22 held too long, the longest 24.6 s (send)",
    "delivery": "412 events came twice, the first is seq 3 of user-2",
    "recovery": "11.9 s",
    "clear-refusals": "9 of 31 without a code",
}
CONVICTS = {
    "acknowledged-writes": ["ack-before-commit"], "held-past-deadline": ["no-deadline"],
    "delivery": ["event-sent-twice"], "recovery": ["no-deadline"], "clear-refusals": [],
}  # fmt: skip


def checks(broken=()):
    """The scenario's five checks, those in `broken` failing."""
    found = []
    for name, expected in EXPECTED.items():
        bad = name in broken
        observed = SUFFERED[name] if bad else OBSERVED[name]
        evidence = OFFENCES if bad else ()
        found.append(check(name, "fail" if bad else "pass", PROVES[name], CONVICTS[name], observed, expected, evidence))
    return found


def control(name, why, failed, without=None, defect=None, convicts=True):
    """A control run as result.json holds it."""
    return {
        "name": name, "without": without, "defect": defect, "setting": None, "why": why, "expected": failed,
        "failed": failed if convicts else [], "verdict": "fail" if convicts else "pass", "convicts": convicts,
        "history": f"control-{name}.jsonl", "checks": checks(failed if convicts else ()), "faults": faults(),
    }  # fmt: skip


def faults():
    """The faults as result.json holds them."""
    return [
        {"kind": kind, "target": target, "planned": LOAD + at, "fired": LOAD + at, "healed": LOAD + until, "hits": hits}
        for kind, target, at, until, hits in FAULTS
    ]


def result(**changes):
    """A passing result of the contract; `changes` replace its keys."""
    whys = (
        ("no-deadline", "Without deadlines a stalled store holds every request until the client gives up.",
         ["held-past-deadline", "recovery"], {"without": ["deadline"]}),
        ("ack-before-commit", "A message acknowledged before its commit is lost when the server dies.",
         ["acknowledged-writes"], {"defect": "netra_sim.defects:ack_before_commit"}),
        ("event-sent-twice", "An event delivered twice shows the user the same step again.",
         ["delivery"], {"defect": "netra_sim.defects:event_sent_twice"}),
    )  # fmt: skip
    found = {
        "schema": 1,
        "scenario": "chaos/database-lost",
        "title": "The database dies while users chat",
        "question": "Does a user lose anything that was acknowledged when Postgres is killed under load?",
        "hypothesis": "No: writes are committed before they are acknowledged, and refused while the store is away.",
        "consequence": "Users keep every message they were told was stored; for 4 s new ones are refused clearly.",
        "group": "data",
        "verdict": "pass",
        "parameters": {"users": 40, "seconds": 30, "kill_at": 8.0},
        "seed": 7,
        "time_scale": 0.1,
        "started": "2026-11-21T08:15:00+00:00",
        "seconds": 41.7,
        "checks": checks(),
        "faults": faults(),
        "controls": [control(name, why, failed, **how) for name, why, failed, how in whys],
        "history": "history.jsonl",
        "servers": {
            "postgres": "PostgreSQL 18.6",
            "redis": "Valkey 9.1.2",
            "llm": "netra-llm 0.1.0",
            "proxy": "netra-proxy 0.1.0",
        },
        "versions": {"python": "3.11.7", "netra_sim": "0.1.0"},
        "commit": "4f1c2ab9d0e3",
        "command": "nox -s scenarios -- --only chaos/database-lost --seed 7",
        "runbook": [
            "Alert `store_unavailable` fires: confirm with GET /health that Postgres alone is down.",
            "Restart Postgres; do not restart the workers, they reconnect by themselves.",
            "Watch goodput return to its level within 6 s of the restart.",
            "Read back one acknowledged message of the minute before the crash.",
        ],
        "not_proven": [
            "A loss of the disk itself: Postgres restarts on its own data directory.",
            "More than 40 users at once on this machine.",
        ],
        "logs": {
            "postgres": "08:15:10 LOG:  database system was interrupted\n08:15:12 LOG:  redo done at 0/1A2B3C8",
            "worker-1": '{"level":"warning","event":"store_unavailable","attempt":2,"request_id":"6f0a"}',
        },
        "error": None,
    }
    return {**found, **changes}


def failing():
    """A scenario whose protection does not hold, with a control that does not convict."""
    return result(
        scenario="chaos/cache-stampede",
        title="Redis fails over under a stampede",
        group="data",
        verdict="fail",
        consequence="14 users lost a message that they had been told was stored.",
        checks=[{**c, "proves": ["IC-C2.3"]} for c in checks(("acknowledged-writes",))],
        controls=[control("no-single-flight", "Every miss rebuilds.", ["recovery"], ["single_flight"], convicts=False)],
        command="nox -s scenarios -- --only chaos/cache-stampede --seed 7",
    )  # fmt: skip


def unknown():
    """A scenario whose fault never fired."""
    found = checks()
    found = [{**c, "proves": ["IC-C2.1"], "controls": []} for c in found]
    found[1] = {**found[1], "outcome": "unknown", "observed": "the fault latency on redis never fired"}
    never = {"kind": "latency", "target": "redis", "planned": LOAD + 17.0, "fired": None, "healed": None, "hits": 0}
    return result(
        scenario="platform/slow-cache", title="Redis is slow", verdict="unknown", group="runtime",
        consequence="Nothing can be said: the fault never struck.",
        checks=found, controls=[], faults=[faults()[0], never],
        command="nox -s scenarios -- --only platform/slow-cache --seed 7",
    )  # fmt: skip


def write_run(runs: Path, data: dict, time: str = "20261121T081500Z", notebook: bool = True, users: int = 40) -> Path:
    """A run's folder as the runner leaves it."""
    folder = runs / data["scenario"] / f"{time}-seed{data['seed']}"
    folder.mkdir(parents=True)
    history(users=users).save(folder / "history.jsonl")
    for each in data["controls"]:
        history(protected=each["without"] is None, users=users).save(folder / each["history"])
    (folder / "result.json").write_text(json.dumps(data))
    if notebook:
        write_notebook(folder)
    return folder


def write_notebook(folder: Path) -> None:
    """An executed notebook with the outputs that the package's displays give."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

    from netra_sim.reports.notebook import show
    from netra_sim.reports.result import Result

    view = show(Result.load(folder / "result.json"))

    def cell(source, shown):
        data, metadata = shown._repr_mimebundle_()
        return new_code_cell(
            source, outputs=[new_output("execute_result", data=data, metadata=metadata, execution_count=1)]
        )

    said = new_output("stream", name="stdout", text="load 30 s, heal, audit\n")
    title = f"# {view.result.data['title']}\n\n**Question.** {view.result.data['question']}\n\n"
    cells = [
        new_markdown_cell(title + f"**Hypothesis.** {view.result.data['hypothesis']}"),
        new_code_cell("users, seconds, seed = 40, 30, 7"),
        new_code_cell("result = await run('chaos/database-lost')", outputs=[said]),
        new_markdown_cell("## Verdict"),
        cell("show(result).verdicts()", view.verdicts()),
        new_markdown_cell("## What users saw\n\nWhile Postgres was away, sends were refused within half a second."),
        cell("show(result).latency()", view.latency()),
        new_markdown_cell("The offered load was applied throughout."),
        cell("show(result).throughput()", view.throughput()),
        new_markdown_cell("## Without the protection\n\nThe same faults, same seed."),
        cell("show(result).controls()", view.controls()),
        new_markdown_cell("## What an operator does"),
        cell("show(result).runbook()", view.runbook()),
        cell("show(result).provenance()", view.provenance()),
    ]  # fmt: skip
    nbformat.write(new_notebook(cells=cells), folder / "notebook.ipynb")
