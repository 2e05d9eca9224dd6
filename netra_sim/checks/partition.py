"""A partition of some users: their runs go on to the end, and the others notice nothing."""

from __future__ import annotations

from statistics import median

from netra_sim.checks.evidence import Facts, at, counted, named, notable, nouns, op_facts, seconds, seen_facts, unknown
from netra_sim.checks.verdict import Check, Finding, never_struck
from netra_sim.checks.views import AGENT_EVENTS, ENDINGS, SUPERVISOR, THINKING, RunKey, identities, stored, wall_to_run
from netra_sim.kernel.history import Fault, History, Op, Record

LEFT = 1000  # close code of who goes by himself
MOVES = AGENT_EVENTS - {THINKING}


def runs_survive(
    stage: str,
    during: tuple[str, ...] = ("partition",),
    *,
    name: str = "",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """Every run that was in this stage when such a fault struck completes, and its user is told all of it.

    An agent is in the stage `tool_executing` while its last stored event is of that type; what it thinks ends no stage.
    The run itself is in the stage of its last event, so that the supervisor's start counts. Judged are runs of users
    who come in by the entrance that was struck.
    """

    def judge(history: History) -> Finding:
        faults = [f for f in history.faults() if f.kind in during and not never_struck(f)]
        if not faults:
            return unknown(f"No {' or '.join(during)} struck.")
        runs = [(fault, key) for fault in faults for key in _in_stage(history, fault, stage)]
        if not runs:
            return unknown(f"No run of those struck was in {stage} then.")
        bad = [facts for fault, key in runs if (facts := _short(history, fault, key))]
        told = f"Of {counted(len(runs), 'run')} in {stage} when a fault struck, "
        told += f"{len(runs) - len(bad):,} came to their end and were told whole."
        return Finding("fail" if bad else "pass", told, notable(bad, lambda facts: float(facts["missing"])))

    expected = f"To lose the network in the stage {stage} costs no run its end and no user an event."
    return Check(name or f"survives_{stage}", expected, proves, judge, controls)


def others_untouched(
    during: str,
    f: str | tuple[str, ...] = ("send", "history"),
    factor: float = 3.0,
    floor_s: float = 0.1,
    enough: int = 5,
    *,
    name: str = "others_untouched",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """While one entrance is struck, users of the others keep their connections and succeed in all, as fast as before.

    Their median under the fault may be `factor` times that of the calm before it, since the last heal; `floor_s` s is
    never too slow. Judged are ops that began under the fault, before any other struck.
    """
    limits = (factor, floor_s, enough)

    def judge(history: History) -> Finding:
        faults = [x for x in history.faults() if x.kind == during and not never_struck(x) and x.healed is not None]
        if not faults or not history.seen("entrances"):
            return unknown(f"No {during} struck one of several entrances.")
        return _compared(history, faults[0], named(history, f), *limits, nouns(f))

    expected = (
        f"During a {during.replace('_', ' ')} at one entrance, all {nouns(f)} by the other succeed and no connection "
        f"breaks; their median is at most {factor:g} times that before, or {seconds(floor_s)}."
    )
    return Check(name, expected, proves, judge, controls)


def entrances(history: History) -> dict[str, str]:
    """Which entrance each user comes in by; one that is not told is `edge`."""
    return {actor: edge for record in history.seen("entrances") for actor, edge in record.value["of"].items()}


def _compared(
    history: History, fault: Fault, ops: list[Op], factor: float, floor_s: float, enough: int, what: str
) -> Finding:
    fired, healed = fault.fired or 0, fault.healed or history.end
    calm = max((x.healed for x in history.faults() if x.healed is not None and x.healed < fired), default=history.start)
    spared = {actor for actor, edge in entrances(history).items() if edge != fault.target}
    theirs = [op for op in ops if op.actor in spared]
    before = [op for op in theirs if calm <= op.start and op.end is not None and op.end < fired and op.outcome == "ok"]
    under = [op for op in theirs if fired <= op.start < healed]
    failed = [op for op in under if op.outcome != "ok"]
    lost = [r for r in history.seen("disconnected") if r.actor in spared and fired <= r.t < healed and _broken(r)]
    told = f"{len(under) - len(failed):,} of {len(under):,} {what} of the spared users succeeded under the {fault.kind}"
    told += f", and {counted(len(lost), 'connection')} of theirs broke"
    if failed or lost:
        bad = [seen_facts(history, r, "connection", "code") for r in lost]
        return Finding("fail", f"{told}.", notable([*bad, *(op_facts(history, op) for op in failed)]))
    if len(before) < enough or len(under) < enough:
        return unknown(f"{told}; only {len(before)} before and {len(under)} under it: too few to compare.")
    usual, now = _median(before), _median(under)
    told += f"; their median was {seconds(now)}, before it {seconds(usual)}."
    if now <= max(factor * usual, floor_s):
        return Finding("pass", told)
    slow = [op_facts(history, op) for op in sorted(under, key=_seconds)[-3:]]
    return Finding("fail", told, notable(slow))


def _broken(lost: Record) -> bool:
    return int(lost.value["code"]) != LEFT


def _median(ops: list[Op]) -> float:
    return median(map(_seconds, ops))


def _seconds(op: Op) -> float:
    return 1e9 if op.seconds is None else op.seconds


def _in_stage(history: History, fault: Fault, stage: str) -> list[RunKey]:
    """The runs of struck users in which, by the store, an agent's last event at the strike was this one."""
    where, who = entrances(history), identities(history)
    struck = {user for actor, user in who.items() if where.get(actor, "edge") == fault.target}
    now = history.seconds(fault.fired or 0)
    last: dict[tuple[str, str, str], str] = {}
    for user, record in stored(history).items():
        for _, run, _, type_, agent, _, _, t_ms in sorted(record.value.get("of", ()), key=lambda row: int(row[0])):
            if user in struck and type_ in MOVES and wall_to_run(history, t_ms) <= now:
                last[user, str(run), "" if agent == SUPERVISOR else str(agent)] = last[user, str(run), ""] = str(type_)
    return sorted({(user, run) for (user, run, _), type_ in last.items() if type_ == stage})


def _short(history: History, fault: Fault, key: RunKey) -> Facts | None:
    """What a run lacks: an end of its own, or events that its user never saw."""
    user, run = key
    rows = [row for row in stored(history)[user].value.get("of", ()) if row[1] == run]
    seen = {int(r.value["seq"]) for r in history.seen("frame") if r.value.get("seq") and r.value.get("user_id") == user}
    missing = [row for row in rows if int(row[0]) not in seen]
    completed = any(row[3] == "agent_completed" and row[4] == SUPERVISOR for row in rows)
    ended = any(row[3] in ENDINGS and row[4] == SUPERVISOR for row in rows)
    if completed and not missing:
        return None
    problem = "events never seen" if missing else "ended badly" if ended else "never ended"
    facts = {"user": user, "run_id": run, "problem": problem, "missing": len(missing)}
    return {"t": at(history, fault.fired or 0), **facts}
