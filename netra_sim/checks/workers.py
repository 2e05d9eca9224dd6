"""What it takes that a platform has several workers: events cross between them, and a reconnect misses none."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from netra_sim.checks.evidence import Facts, counted, first_at, notable, percent, seconds, seen_facts, unknown
from netra_sim.checks.verdict import Check, Finding, never_struck
from netra_sim.checks.views import audited, identities, stored, wall_to_run
from netra_sim.kernel.history import History, Record

ENOUGH = 10  # frames below which nothing is told about a delivery


def crosses_workers(
    within_s: float,
    without: str,
    at_least: float = 0.99,
    *,
    name: str = "crosses_workers",
    proves: tuple[str, ...] = (),
) -> Check:
    """While `without` is out, a user on another worker than his run's sees `at_least` of its events in time.

    Judged are the events stored while it is out and a socket of their user is open on another worker; from the commit
    to the frame at most `within_s` s may pass. The auditor's `runs` tell each run's worker, the welcome the socket's.
    """

    def judge(history: History) -> Finding:
        crossed = _crossed(history, without, within_s)
        late = [facts for facts in crossed if facts["took"] is None or facts["took"] > within_s]
        if len(crossed) < ENOUGH:
            return unknown(f"Only {counted(len(crossed), 'event')} had to cross between workers without {without}.")
        met = len(crossed) - len(late)
        told = f"{met:,} of {counted(len(crossed), 'event')} crossed in time ({percent(met, len(crossed))})"
        longest = max((facts["took"] for facts in crossed if facts["took"] is not None), default=0.0)
        told += f"; the slowest took {seconds(longest)}" + (f"; {first_at(late)}" if late else "")
        return Finding("pass" if met >= at_least * len(crossed) else "fail", f"{told}.", notable(late))

    expected = (
        f"Without {without}, at least {at_least * 100:g} % of the events reach sockets on other workers within "
        f"{seconds(within_s)} of their commit."
    )
    return Check(name, expected, proves, judge)


def replayed_from_store(*, name: str = "replayed_from_store", proves: tuple[str, ...] = ()) -> Check:
    """After each reconnect the client gets every event that was stored while it was away."""

    def judge(history: History) -> Finding:
        missed, bad = 0, []
        for actor, life in _connections(history).items():
            seqs = _stored_seqs(history, identities(history).get(actor, ""))
            for before, connection in pairwise(life):
                wanted = {seq for seq in seqs if before.position < seq <= connection.last_seq}
                missed += len(wanted)
                lost = wanted - connection.seen if connection.position >= connection.last_seq else set()
                if lost:
                    facts = seen_facts(history, connection.record, "connection_id", seq=min(lost), events=len(lost))
                    bad.append(facts)
        if bad:
            lost_ = sum(int(facts["events"]) for facts in bad)
            told = f"{lost_:,} of {counted(missed, 'event')} missed while away never came; {first_at(bad)}."
            return Finding("fail", told, notable(bad, lambda facts: float(facts["events"])))
        if not missed:
            return unknown("No client missed an event while it was away.")
        return Finding("pass", f"All of {counted(missed, 'event')} stored while a client was away came after it.")

    return Check(name, "After a reconnect a client gets every event stored while it was away.", proves, judge)


class _Connection:
    """One connection of a client; `position` is the highest seq that the client has seen by its end."""

    def __init__(self, record: Record, position: int) -> None:
        self.record, self.position, self.seen = record, position, set[int]()
        self.last_seq = int(record.value.get("last_seq") or 0)


def _connections(history: History) -> dict[str, list[_Connection]]:
    lives: dict[str, list[_Connection]] = {}
    for r in history.records:
        life = lives.setdefault(r.actor, [])
        if r.f == "connect" and r.phase == "ok":
            life.append(_Connection(r, life[-1].position if life else int(r.value.get("last_seq") or 0)))
        elif r.f == "frame" and r.value.get("seq") is not None and life:
            seq = int(r.value["seq"])
            life[-1].seen.add(seq)
            life[-1].position = max(life[-1].position, seq)
    return lives


def _stored_seqs(history: History, user: str) -> list[int]:
    record = stored(history).get(user)
    return [] if record is None else [int(seq) for seq in record.value.get("seqs", ())]


def _crossed(history: History, without: str, within_s: float) -> list[Facts]:
    """The events that had to cross: `took` s from commit to frame, None for one that did not come."""
    outages = [
        (history.seconds(f.fired), history.seconds(f.healed))
        for f in history.faults()
        if f.target == without and not never_struck(f) and f.fired is not None and f.healed is not None
    ]
    runs = audited(history, "runs")
    home = {row["run_id"]: row.get("worker") for row in (runs.value["rows"] if runs else ())}
    found: list[Facts] = []
    who = identities(history)
    for actor, life in _lines(history).items():
        record = stored(history).get(who.get(actor, ""))
        for row in record.value.get("of", ()) if record else ():
            seq, run, t = int(row[0]), str(row[1]), wall_to_run(history, row[-1])
            line = _line_at(life, t)
            if line is None or home.get(run) in (None, line.worker) or not any(a <= t < b for a, b in outages):
                continue
            came = line.frames.get(seq)
            if came is None and line.until - t < within_s:
                continue  # its client left before it had to be there
            took = None if came is None else max(0.0, round(came - t, 4))
            found.append({"t": round(t, 4), "actor": actor, "seq": seq, "run_id": run, "took": took})
    return found


class _Line:
    def __init__(self, since: float, worker: str) -> None:
        self.since, self.until, self.worker = since, since, worker
        self.frames: dict[int, float] = {}
        self.open = True


def _lines(history: History) -> dict[str, list[_Line]]:
    """Each actor's connections: from when to when, to which worker, and when each event came."""
    lives: dict[str, list[_Line]] = {}
    for r in history.records:
        life = lives.setdefault(r.actor, [])
        if r.f == "connect" and r.phase == "ok":
            life.append(_Line(history.seconds(r.t), str(r.value.get("worker"))))
        elif life and life[-1].open:
            life[-1].until = history.seconds(r.t)
            life[-1].open = r.f != "disconnected"
            if r.f == "frame" and r.value.get("seq") is not None:
                life[-1].frames.setdefault(int(r.value["seq"]), history.seconds(r.t))
    return lives


def _line_at(life: list[_Line], t: float) -> _Line | None:
    n = bisect_right([line.since for line in life], t) - 1
    return life[n] if n >= 0 and t <= life[n].until else None
