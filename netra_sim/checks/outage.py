"""A dependency's outages: what users notice, how soon the workers do, and how soon it is used again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf, isfinite
from statistics import median

from netra_sim.checks.evidence import (
    Facts,
    at,
    counted,
    first_at,
    named,
    notable,
    nouns,
    op_facts,
    percent,
    seconds,
    unknown,
)
from netra_sim.checks.verdict import Check, Finding, never_struck
from netra_sim.kernel.history import Fault, History, Op, Record

ENOUGH = 10  # samples below which a median is a guess


def answered_without(
    dependency: str,
    limits: dict[str, float],
    at_least: float = 0.95,
    *,
    name: str = "answered_without",
    proves: tuple[str, ...] = (),
) -> Check:
    """In each outage of the dependency `at_least` of the ops begun in it succeed, and none of them takes too long.

    `limits` gives the ops that are judged and their limits in s. An outage in which fewer than ENOUGH began is unknown.
    """

    def judge(history: History) -> Finding:
        told: list[str] = []
        few = ""
        for fault in _outages(history, dependency):
            ops = [op for op in history.ops(*limits) if _within(op, fault)]
            bad = [op_facts(history, op, fault=fault.kind) for op in ops if not _answered(op, limits)]
            if len(ops) < ENOUGH:
                few = f"Only {counted(len(ops), 'request')} began during the {fault.kind} of {dependency}."
            elif len(bad) > (1 - at_least) * len(ops) + 1e-9:
                words = f"During the {fault.kind} of {dependency} {len(bad):,} of {counted(len(ops), 'request')}"
                return Finding("fail", f"{words} failed or took too long; {first_at(bad)}.", notable(bad))
            told.append(f"{fault.kind} {percent(len(ops) - len(bad), max(1, len(ops)))} of {len(ops):,}")
        if few or not told:
            return unknown(few or f"{dependency} had no outage.")
        return Finding("pass", f"Answered in time without {dependency}: {', '.join(told)}.")

    words = ", ".join(f"{nouns(f)} within {seconds(limit)}" for f, limit in limits.items())
    expected = f"While {dependency} is out, at least {at_least * 100:g} % of requests are answered: {words}."
    return Check(name, expected, proves, judge)


def slowdown(
    f: str | tuple[str, ...],
    dependency: str,
    factor: float = 5.0,
    *,
    name: str = "slowdown",
    proves: tuple[str, ...] = (),
) -> Check:
    """In each outage the median of the ops begun in it is less than `factor` times that of successes before any fault.

    An op that does not succeed counts as one without end. An outage in which fewer than ENOUGH began is unknown.
    """

    def judge(history: History) -> Finding:
        outages = list(_outages(history, dependency))
        first = min((t for fault in history.faults() if (t := fault.fired) is not None), default=history.start)
        ops = named(history, f)
        before = _median([op for op in ops if op.outcome == "ok" and op.end is not None and op.end <= first])
        if before is None:
            return unknown(f"Fewer than {ENOUGH} {nouns(f)} succeeded before the first fault.")
        found = [(fault, _median([op for op in ops if _within(op, fault)])) for fault in outages]
        few = next((fault for fault, took in found if took is None), None)
        if few is not None or not found:
            return unknown(f"Fewer than {ENOUGH} {nouns(f)} began during the {few.kind if few else 'outage'}.")
        times = [(fault, took / before) for fault, took in found if took is not None]
        bad: list[Facts] = [
            {"t": at(history, fault.fired or 0), "fault": fault.kind, "times": _times(ratio)}
            for fault, ratio in times
            if ratio >= factor
        ]
        shares = ", ".join(f"{fault.kind} {_times(ratio)}" for fault, ratio in times)
        told = f"Of a median of {before * 1000:.1f} ms before: {shares}."
        return Finding("fail" if bad else "pass", told, notable(bad))

    expected = f"While {dependency} is out, the {nouns(f)} take less than {factor:g} times as long as before."
    return Check(name, expected, proves, judge)


def detected(dependency: str, within_s: float, *, name: str = "detected", proves: tuple[str, ...] = ()) -> Check:
    """Within `within_s` s of each strike the first worker's breaker for the dependency is no longer closed."""

    def took(history: History, fault: Fault, _end: int) -> float | None:
        fired = fault.fired or fault.planned
        opened = (r.t for r in _gauges(history, dependency) if _open(r, dependency) and fired <= r.t <= _ended(fault))
        return next(((t - fired) / 1e9 for t in opened), None)

    expected = f"Each outage of {dependency} is noticed within {seconds(within_s)}: a worker's breaker opens."
    return Check(name, expected, proves, _Each(dependency, within_s, took, "noticed").judge)


def restored(dependency: str, within_s: float, *, name: str = "restored", proves: tuple[str, ...] = ()) -> Check:
    """Within `within_s` s of each heal the dependency's breaker is closed on every worker."""

    def took(history: History, fault: Fault, end: int) -> float | None:
        healed, closed = fault.healed or end, dict[str, bool]()
        for record in _gauges(history, dependency):
            if record.t > healed and closed and all(closed.values()):
                return 0.0
            if record.t > end:
                break
            closed[record.value["worker"]] = not _open(record, dependency)
            if record.t > healed and all(closed.values()):
                return (record.t - healed) / 1e9
        return 0.0 if closed and all(closed.values()) else None

    expected = f"Within {seconds(within_s)} of each heal every worker uses {dependency} again: its breaker is closed."
    return Check(name, expected, proves, _Each(dependency, within_s, took, "used again").judge)


@dataclass(frozen=True)
class _Each:
    """One figure for each outage: `took` tells it in s, or None for never up to the next strike or the load's end."""

    dependency: str
    within_s: float
    took: Callable[[History, Fault, int], float | None]
    what: str

    def judge(self, history: History) -> Finding:
        """The outages in which it took too long, or how long it took in each."""
        outages = list(_outages(history, self.dependency))
        if not outages or not _gauges(history, self.dependency):
            return unknown(f"{self.dependency} had no outage, or no worker told its state.")
        figures = [(fault, self.took(history, fault, _calm(history, fault))) for fault in outages]
        late = [(fault, took) for fault, took in figures if took is None or took > self.within_s]
        bad: list[Facts] = [
            {"t": at(history, fault.fired or 0), "fault": fault.kind, "took": took} for fault, took in late
        ]
        told = ", ".join(f"{fault.kind} {'never' if took is None else seconds(took)}" for fault, took in figures)
        return Finding("fail" if bad else "pass", f"{self.dependency} was {self.what} after: {told}.", notable(bad))


def _outages(history: History, dependency: str) -> Iterator[Fault]:
    return (fault for fault in history.faults() if fault.target == dependency and not never_struck(fault))


def _ended(fault: Fault) -> int:
    return fault.healed or fault.fired or fault.planned


def _within(op: Op, fault: Fault) -> bool:
    return fault.fired is not None and fault.fired <= op.start < _ended(fault)


def _calm(history: History, fault: Fault) -> int:
    """Until when the quiet after a fault lasts: the next strike, or the load's end."""
    marks = history.seen("load_ended")
    strikes = [other.fired for other in history.faults() if other.fired is not None and other.fired > _ended(fault)]
    return min([*strikes, marks[-1].t if marks else history.end])


def _gauges(history: History, dependency: str) -> list[Record]:
    """What workers told of themselves, without those that did not answer."""
    return [r for r in history.seen("gauges") if dependency in r.value.get("breakers", {})]


def _open(record: Record, dependency: str) -> bool:
    return bool(record.value["breakers"][dependency] != "closed")


def _answered(op: Op, limits: dict[str, float]) -> bool:
    return op.outcome == "ok" and op.seconds is not None and op.seconds <= limits[op.f]


def _median(ops: list[Op]) -> float | None:
    times = [op.seconds if op.outcome == "ok" and op.seconds is not None else inf for op in ops]
    return median(times) if len(times) >= ENOUGH else None


def _times(ratio: float) -> str:
    return f"{ratio:.1f}x" if isfinite(ratio) else "half or more failed"
