"""Clients come back by themselves, without a rush, and find everything as they left it."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean, pstdev

from netra_sim.checks.evidence import Facts, at, counted, notable, seen_facts, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.kernel.history import History, Record

ENOUGH = 20  # planned delays; of a uniform draw their mean is then within 0.25 to 0.75 but once in 10,000 times
EARLY_NS = 2_000_000  # a timer may be this early
LATER = 2  # from this attempt on a delay that does not grow shows: it is a quarter of what it could be, or less


def backs_off(
    enough: int = ENOUGH,
    *,
    name: str = "reconnects_back_off",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """Reconnects wait at random up to a bound that doubles, and no client comes before its time.

    Of full jitter (Brooker, Exponential Backoff and Jitter, AWS 2015) the delays, each as a share of its bound, are
    uniform: their mean is a half, and they differ. Both are asked of all delays; of those from the third attempt on,
    that their mean is over a sixth: a delay that stayed at its first value would be less.
    """

    def judge(history: History) -> Finding:
        plans = [r for r in history.seen("reconnect") if float(r.value["at_most_s"]) > 0]
        shares = [float(r.value["backoff_s"]) / float(r.value["at_most_s"]) for r in plans]
        later = [s for s, r in zip(shares, plans, strict=True) if int(r.value["attempt"]) >= LATER]
        if len(shares) < enough or len(later) < enough // 4:
            return unknown(f"Only {counted(len(shares), 'reconnect')} were planned, {len(later)} after two failures.")
        rushed = _rushed(history, plans)
        mean, spread = fmean(shares), pstdev(shares)
        told = (
            f"{counted(len(shares), 'reconnect')} by {counted(len({r.actor for r in plans}), 'client')}: the delay was "
            f"{mean * 100:.0f} % of its doubling bound on average, spread by {spread * 100:.0f} %, and "
            f"{fmean(later) * 100:.0f} % after two failures; {len(rushed):,} came before their time."
        )
        if 0.25 <= mean <= 0.75 and spread >= 0.1 and fmean(later) >= 1 / 6 and not rushed:
            return Finding("pass", told)
        worst = [_facts(history, r) for r in plans]
        return Finding("fail", told, notable(rushed or worst, lambda facts: float(facts["at_most_s"])))

    expected = "Each reconnect waits at random, up to a bound that doubles with every failure; no two clients in step."
    return Check(name, expected, proves, judge, controls)


def session_survives(
    *,
    name: str = "session_survives",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """Who comes back is the same user, at a stream no shorter than he saw it, with every message that was accepted."""

    def judge(history: History) -> Finding:
        users: dict[str, _User] = {}
        bad: list[Facts] = []
        for record in history.records:
            problem = users.setdefault(record.actor, _User()).take(record)
            if problem:
                bad.append(seen_facts(history, record, "connection_id", "last_seq", "messages", problem=problem))
        back, read = sum(u.back for u in users.values()), sum(u.read for u in users.values())
        if bad:
            told = f"After {counted(back, 'reconnect')}, {counted(len(bad), 'time')} not as it was left: "
            return Finding("fail", f"{told}{bad[0]['problem']}.", notable(bad))
        if not read:
            return unknown(f"{counted(back, 'reconnect')}, and {counted(read, 'thread')} read after one: too few.")
        told = f"{counted(back, 'reconnect')} found user and stream as they were left, "
        told += f"and {counted(read, 'thread')} read afterwards held every message acknowledged before."
        return Finding("pass", told)

    expected = "After a reconnect user, stream and threads are as they were left."
    return Check(name, expected, proves, judge, controls)


@dataclass
class _User:
    """What one user knows of his session."""

    user: str = ""
    seq: int = 0
    back: int = 0
    read: int = 0
    threads: dict[int, str] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    asked: dict[int, tuple[str, int]] = field(default_factory=dict)

    def take(self, r: Record) -> str:
        """Follow the history; what a reconnect or a read shows to be gone."""
        if r.f == "frame":
            self.seq = max(self.seq, int(r.value.get("seq") or 0))
        elif r.f == "connect" and r.phase == "ok":
            return self._connected(r)
        elif r.f == "send":
            self._sent(r)
        elif r.f == "history":
            return self._read(r)
        return ""

    def _connected(self, r: Record) -> str:
        who, known = str(r.value.get("user_id")), self.user
        self.user = known or who
        self.back += bool(known)
        if who != self.user:
            return "another user"
        return "a shorter stream" if int(r.value.get("last_seq") or 0) < self.seq else ""

    def _sent(self, r: Record) -> None:
        if r.phase == "invoke":
            self.threads[r.id] = str(r.value.get("thread_id"))
        elif r.phase == "ok" and r.id in self.threads:
            thread = self.threads[r.id]
            self.sent[thread] = self.sent.get(thread, 0) + 1

    def _read(self, r: Record) -> str:
        if r.phase == "invoke":
            thread = str(r.value.get("thread_id"))
            self.asked[r.id] = (thread, self.sent.get(thread, 0))
        elif r.phase == "ok" and r.id in self.asked and self.back:
            self.read += 1
            return "messages missing" if int(r.value.get("messages", 0)) < self.asked[r.id][1] else ""
        return ""


def _rushed(history: History, plans: list[Record]) -> list[Facts]:
    """Reconnects that began before their planned delay was over."""
    connects: dict[str, list[int]] = {}
    for op in history.ops("connect"):
        connects.setdefault(op.actor, []).append(op.start)
    bad = []
    for r in plans:
        began = next((t for t in connects.get(r.actor, ()) if t >= r.t), None)
        if began is not None and began < r.t + float(r.value["backoff_s"]) * 1e9 - EARLY_NS:
            bad.append(_facts(history, r, began=at(history, began)))
    return bad


def _facts(history: History, r: Record, **more: float) -> Facts:
    return seen_facts(history, r, "attempt", "backoff_s", "at_most_s", **more)
