"""Service levels: how many succeeded, how long they took, and whether the load was really applied."""

from __future__ import annotations

import math

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
from netra_sim.checks.verdict import Check, Finding
from netra_sim.kernel.history import History, Op

ENOUGH = 1000  # samples below which a p99 is a guess


def success_rate(
    f: str | tuple[str, ...],
    at_least: float,
    *,
    whole: bool = False,
    name: str = "success_rate",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """At least this share (0 to 1) of all invoked ops succeeded; an unknown outcome is no success.

    With `whole`, neither is an answer that names something as missing. What its user gave up by himself (`abandoned`)
    is not judged.
    """

    def judge(history: History) -> Finding:
        ops = [op for op in named(history, f) if not op.result.get("abandoned")]
        if not ops:
            return unknown(f"No {nouns(f)} were made.")
        partial = [op for op in ops if whole and op.outcome == "ok" and op.result.get("missing")]
        bad = [op_facts(history, op) for op in ops if op.outcome != "ok" or op in partial]
        good = len(ops) - len(bad)
        told = f"{good:,} of {len(ops):,} {nouns(f)} succeeded ({percent(good, len(ops))})"
        if bad:
            open_ = sum(facts["outcome"] == "unknown" for facts in bad)
            failed = len(bad) - open_ - len(partial)
            told += f"; {failed:,} failed and {open_:,} got no answer, {first_at(bad)}"
            told += f"; {len(partial):,} got a part of it" if partial else ""
        return Finding("pass" if good >= at_least * len(ops) else "fail", f"{told}.", notable(bad, _length))

    expected = f"At least {at_least * 100:g} % of {nouns(f)} {'get the whole answer' if whole else 'succeed'}."
    return Check(name, expected, proves, judge, controls)


def within_limit(
    f: str | tuple[str, ...],
    limit: float,
    q: float = 0.99,
    *,
    name: str = "within_limit",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """No op took longer than `limit` seconds; from 1,000 samples on, their quantile `q` did not.

    Ops that never completed are over. Quick failures are no samples: failing fast must not look like being fast.
    """

    def judge(history: History) -> Finding:
        ops = named(history, f)
        samples = [op for op in ops if op.outcome == "ok" or _took(op) > limit]
        samples = [op for op in samples if not op.result.get("abandoned")]
        if not samples:
            return unknown(f"None of {len(ops):,} {nouns(f)} succeeded, so there is no time to judge.")
        over = [op_facts(history, op) for op in samples if _took(op) > limit]
        times = sorted(map(_took, samples))
        held = quantile(times, q) <= limit if len(times) >= ENOUGH else not over
        told = f"{len(over):,} of {len(times):,} {nouns(f)} took longer than {seconds(limit)}; {_times(times)}"
        told += f"; {first_at(over)}" if over else ""
        return Finding("pass" if held else "fail", f"{told}.", notable(over, _length))

    what = f"a p{q * 100:g} of at most {seconds(limit)}"
    expected = f"No {nouns(f)} over {seconds(limit)}; from {ENOUGH:,} samples on, {what}."
    return Check(name, expected, proves, judge, controls)


def average_within(
    f: str | tuple[str, ...],
    limit: float,
    *,
    name: str = "average_within_limit",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """The mean duration of the ops that succeeded is at most `limit` seconds; one that never ended makes it fail."""

    def judge(history: History) -> Finding:
        ops = [op for op in named(history, f) if not op.result.get("abandoned")]
        samples = [op for op in ops if op.outcome == "ok" or op.end is None]
        if not samples:
            return unknown(f"None of {len(ops):,} {nouns(f)} succeeded, so there is no time to judge.")
        mean = sum(map(_took, samples)) / len(samples)
        told = f"{_figure(mean).capitalize()} on average over {counted(len(samples), 'sample')}."
        if mean <= limit:
            return Finding("pass", told)
        over = [op_facts(history, op) for op in samples if _took(op) > limit]
        return Finding("fail", told, notable(over, _length))

    return Check(name, f"{nouns(f)} take at most {seconds(limit)} on average.".capitalize(), proves, judge, controls)


def load_applied(
    f: str | tuple[str, ...] = ("login", "signup"),
    at_least: float = 1.0,
    *,
    name: str = "load_applied",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """At least this share of the planned arrivals happened: so many users made one of these ops, however often."""

    def judge(history: History) -> Finding:
        marks = history.seen("load_ended")
        planned = int(marks[-1].value.get("planned_arrivals", 0)) if marks else 0
        if not planned:
            return unknown("The load never ended, or none was planned.")
        made = len({op.actor for op in named(history, f)})
        told = f"{made:,} of {counted(planned, 'planned arrival')} happened ({percent(made, planned)})."
        mark: Facts = {"t": at(history, marks[-1].t), "planned": planned, "made": made}
        held = made >= at_least * planned
        return Finding("pass" if held else "fail", told, () if held else notable([mark]))

    return Check(name, f"At least {at_least * 100:g} % of the planned arrivals happen.", proves, judge, controls)


def quantile(ordered: list[float], q: float) -> float:
    """The nearest-rank quantile of sorted samples: the smallest that at least the share q does not exceed."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def _took(op: Op) -> float:
    return math.inf if op.seconds is None else op.seconds


def _length(facts: Facts) -> float:
    return math.inf if facts["seconds"] is None else float(facts["seconds"])


def _times(times: list[float]) -> str:
    longest = "never ended" if math.isinf(times[-1]) else f"took {seconds(times[-1])}"
    if len(times) < ENOUGH:
        return f"the slowest {longest} ({counted(len(times), 'sample')})"
    p50, p95, p99 = (_figure(quantile(times, q)) for q in (0.5, 0.95, 0.99))
    return f"p50 {p50}, p95 {p95}, p99 {p99}, and the slowest {longest}"


def _figure(value: float) -> str:
    return "never" if math.isinf(value) else seconds(value)
