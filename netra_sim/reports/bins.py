"""Durations in bins: over time, and over how many users were online; quantiles only of enough samples."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from netra_sim.checks.slo import ENOUGH, quantile
from netra_sim.kernel.history import History
from netra_sim.reports import frames
from netra_sim.reports.frames import Point

_USERS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
LINEAR = 120  # users up to which their axis is linear


@dataclass(frozen=True, slots=True)
class Spread:
    """Durations in seconds of `count` samples; `p95` and `p99` only of 1,000 and more, `over` their limits.

    `waiting` of them never ended and count with the time until the end, so what they reach is a lower bound.
    """

    count: int
    low: float
    median: float
    high: float
    p95: float | None
    p99: float | None
    over: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Bin:
    """The samples from `start` to `end` (seconds, or users online); no spread where there are none."""

    start: float
    end: float
    spread: Spread | None


def judged(history: History, f: str, limit: float | None = None) -> list[Point]:
    """The operations of one name; those that carry no deadline of their own are held to `limit` s."""
    return [p if p.limit is not None else replace(p, limit=limit) for p in frames.points(history, f)]


def samples(found: Sequence[Point]) -> list[Point]:
    """Those whose duration says something: answered, over the limit, or never ended.

    A quick failure is none: failing fast must not look like being fast. Nor is what its user gave up.
    """
    return [p for p in found if not p.abandoned and (p.outcome == "ok" or not p.ended or over(p))]


def over(point: Point) -> bool:
    """Whether it took longer than its limit; what never ended did."""
    return point.limit is not None and (not point.ended or point.seconds > point.limit)


def spread(found: Sequence[Point]) -> Spread | None:
    """The spread of samples, or None of none."""
    if not found:
        return None
    times = sorted(p.seconds for p in found)
    p95, p99 = (quantile(times, q) if len(times) >= ENOUGH else None for q in (0.95, 0.99))
    late, waiting = sum(map(over, found)), sum(not p.ended for p in found)
    return Spread(len(times), times[0], statistics.median(times), times[-1], p95, p99, late, waiting)


def over_time(found: Sequence[Point], everything: Sequence[Point], bins: int = 30) -> list[Bin]:
    """Samples in steps of a round width by when they began; fewer where that gives each enough for a p99.

    `everything` is the run's: operations of any name are in steps of the same time.
    """
    if len(found) >= 8 * ENOUGH:
        bins = min(bins, len(found) // (ENOUGH + ENOUGH // 5))
    edges = frames.steps([p.at for p in everything], bins)
    return _binned(edges, [(p.at, p) for p in found])


def online(history: History, found: Sequence[Point]) -> list[int]:
    """How many users were online when each operation began: a user is from his first record to his last."""
    users = {op.actor for op in history.ops() if op.f != "start"}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for record in history.records:
        if record.actor in users:
            first.setdefault(record.actor, record.t)
            last[record.actor] = record.t
    came = sorted(history.seconds(t) for t in first.values())
    left = sorted(history.seconds(t) for t in last.values())
    return [bisect_right(came, p.at) - bisect_left(left, p.at) for p in found]


def over_users(users: Sequence[int], found: Sequence[Point], most: int) -> list[Bin]:
    """Samples by how many users were online; `most` on the axis decides the bins."""
    return [each for each in _binned(_user_edges(most), list(zip(users, found, strict=True))) if each.spread]


def _user_edges(most: int) -> tuple[float, ...]:
    if most > LINEAR:
        return (*(float(n) for n in _USERS if n < most), most + 1.0)
    step = next(step for step in (1, 2, 5, 10, 20) if most / step <= 10)
    return tuple(float(n) for n in range(0, most + step + 1, step))


def _binned(edges: tuple[float, ...], placed: Sequence[tuple[float, Point]]) -> list[Bin]:
    of: list[list[Point]] = [[] for _ in edges[1:]]
    for at, point in placed:
        of[min(max(bisect_right(edges, at) - 1, 0), len(of) - 1)].append(point)
    return [Bin(a, b, spread(each)) for a, b, each in zip(edges, edges[1:], of, strict=False)]
