"""A dead peer is noticed from both sides, also where the connection looks open: nothing comes, nothing is closed."""

from __future__ import annotations

from collections.abc import Iterator

from netra_sim.checks.evidence import Facts, at, counted, notable, seconds, seen_facts, unknown
from netra_sim.checks.partition import entrances
from netra_sim.checks.verdict import Check, Finding, never_struck
from netra_sim.kernel.history import Fault, History, Record

ABNORMAL = 1006  # close code of RFC 6455: no close frame came
LAG_NS = 150_000_000  # gauges are read ten times a second: so long may a worker's count be out of date


def client_notices(
    within_s: float,
    during: str = "black_hole",
    *,
    name: str = "client_notices_dead_server",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """Who loses his connection to such a fault notices within `within_s` s of the strike, not when it is healed.

    Judged are connections by the entrance struck that were open then and ended without a close frame before the next
    strike. (Those of other entrances are not: the next strike drops them a moment before it is recorded.)
    """

    def judge(history: History) -> Finding:
        faults = _struck(history, during)
        if not faults:
            return unknown(f"No {during} struck.")
        bad: list[Facts] = []
        slowest, n = 0.0, 0
        for fault, end in faults:
            for record in _lost(history, fault, end):
                took = (record.t - (fault.fired or 0)) / 1e9
                n, slowest = n + 1, max(slowest, took)
                if took > within_s:
                    bad.append(seen_facts(history, record, "connection", "code", seconds=round(took, 4)))
        if not n:
            return unknown(f"No connection was lost to a {during}.")
        told = f"{n - len(bad):,} of {counted(n, 'client')} noticed within {seconds(within_s)}; "
        told += f"the slowest took {seconds(slowest)}."
        return Finding("fail" if bad else "pass", told, notable(bad, lambda facts: float(facts["seconds"])))

    expected = f"Cut off by a {during.replace('_', ' ')}, a client gives its connection up within {seconds(within_s)}."
    return Check(name, expected, proves, judge, controls)


def server_notices(
    within_s: float,
    during: str = "black_hole",
    *,
    name: str = "server_drops_dead_clients",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """At `within_s` s after the strike the workers hold no socket but those that clients hold too.

    The workers' count is that of the last gauges read by then, so who comes or leaves about then is not held against
    them. A fault that was healed sooner judges nothing, nor does one that cost no client his connection.
    """

    def judge(history: History) -> Finding:
        faults = [(fault, end) for fault, end in _struck(history, during) if _length(fault) >= within_s]
        if not faults or not history.seen("gauges"):
            return unknown(f"No {during} lasted for {seconds(within_s)}, or the workers' sockets were not read.")
        bad, told = [], ""
        for fault, end in faults:
            fired = fault.fired or 0
            due = fired + round(within_s * 1e9)
            lost, held, theirs = len(list(_lost(history, fault, end))), _held(history, due), len(_open(history, due))
            told = f"{counted(lost, 'client')} gave a connection up; {seconds(within_s)} after the strike workers held "
            told += f"{counted(held, 'socket')} of {_held(history, fired):,}, and clients held {theirs:,}."
            if not lost:
                return unknown(f"The {during} cost no connection: {told}")
            if held > theirs:
                facts = {"fault": fault.kind, "target": fault.target, "held": held, "clients": theirs}
                bad.append({"t": at(history, due), **facts})
        return Finding("fail" if bad else "pass", told, notable(bad))

    expected = (
        f"{seconds(within_s)} into a {during.replace('_', ' ')} no worker holds a socket whose client has given it up."
    )
    return Check(name, expected, proves, judge, controls)


def _struck(history: History, kind: str) -> list[tuple[Fault, int]]:
    """The faults of a kind that struck, each with the time of the next strike of any, or the end."""
    strikes = sorted(fault.fired for fault in history.faults() if fault.fired is not None)
    struck = [fault for fault in history.faults() if fault.kind == kind and not never_struck(fault)]
    marks = history.seen("load_ended")
    end = marks[-1].t if marks else history.end
    return [(fault, min((t for t in strikes if t > (fault.fired or 0)), default=end)) for fault in struck]


def _length(fault: Fault) -> float:
    return ((fault.healed or 0) - (fault.fired or 0)) / 1e9


def _lost(history: History, fault: Fault, end: int) -> Iterator[Record]:
    """Connections open at the strike that ended before `end`, without a word."""
    fired = fault.fired or 0
    before, where = _open(history, fired, 0), entrances(history)
    for record in history.seen("disconnected"):
        if where.get(record.actor, fault.target) != fault.target:
            continue
        if fired < record.t < end and record.value["code"] == ABNORMAL and record.value["connection"] in before:
            yield record


def _open(history: History, t: int, lag_ns: int = LAG_NS) -> set[str]:
    """The connections that clients held at a time, or within `lag_ns` of it: opened by then, or closed in order."""
    held: set[str] = set()
    for record in history.records:
        if record.f == "connect" and record.phase == "ok" and record.t <= t + lag_ns:
            held.add(str(record.value.get("connection_id")))
        elif record.f == "disconnected" and record.t <= (t if record.value["code"] == ABNORMAL else t - lag_ns):
            held.discard(str(record.value["connection"]))
    return held


def _held(history: History, t: int) -> int:
    """The sockets of all workers by the last gauges that each of them told up to a time."""
    told = [r for r in history.seen("gauges") if r.t <= t and "sockets" in r.value]
    return sum({str(r.value["worker"]): int(r.value["sockets"]) for r in told}.values())
