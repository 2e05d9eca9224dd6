"""How to measure on a machine that others use: adjacent pairs of slices, stolen ones thrown away, medians of ratios.

The CPU time of a process beside them tells what an operation costs whatever else the machine does. Linux only.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

STOLEN = 0.06  # share of a slice that the host may take before it is thrown away
ENOUGH = 1000  # samples below which no percentile is told
LEAST = 3  # good pairs below which no ratio is told
Slice = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit and the side on which a value must lie."""

    limit: float
    most: bool = False

    def holds(self, value: float) -> bool:
        """Whether the value is within the goal."""
        return value <= self.limit if self.most else value >= self.limit

    def __str__(self) -> str:
        return f"{'at most' if self.most else 'at least'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; without a value, `against` says why."""

    name: str
    value: float | None
    unit: str
    goal: Goal | None = None
    against: str = ""
    samples: int = 0

    @property
    def holds(self) -> bool | None:
        """None where there is no goal or no value."""
        return None if self.goal is None or self.value is None else self.goal.holds(self.value)

    def as_dict(self) -> dict[str, object]:
        """The row of reports/bench.json."""
        return {
            "name": self.name, "value": self.value, "unit": self.unit, "goal": str(self.goal) if self.goal else None,
            "holds": self.holds, "against": self.against, "samples": self.samples,
        }  # fmt: skip


def missing(name: str, unit: str, why: str, goal: Goal | None = None) -> Figure:
    """A figure that could not be measured."""
    return Figure(name, None, unit, goal, f"not measured: {why}")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two adjacent slices, and the share of their time that the host took."""

    ours: float
    theirs: float
    stolen: float

    @property
    def good(self) -> bool:
        """Whether it counts."""
        return self.stolen <= STOLEN and self.theirs > 0


def ratio(pairs: Iterable[Pair]) -> tuple[float | None, int]:
    """The median of ours / theirs over the good pairs, and their number; None when there are too few."""
    ratios = [pair.ours / pair.theirs for pair in pairs if pair.good]
    return (statistics.median(ratios) if len(ratios) >= LEAST else None), len(ratios)


def percentile(samples: Sequence[float], share: float) -> float | None:
    """The nearest rank (Hyndman and Fan, type 1); None below 1,000 samples."""
    if len(samples) < ENOUGH:
        return None
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]


def over(samples: Iterable[float], limit: float) -> int:
    """How many samples are over the limit: what is told in place of a percentile of too few."""
    return sum(sample > limit for sample in samples)


def stolen(before: str, after: str) -> float:
    """The share of CPU time that the host took between two readings of /proc/stat."""
    first, last = _ticks(before), _ticks(after)
    passed = [b - a for a, b in zip(first, last, strict=True)]
    return passed[7] / sum(passed) if sum(passed) > 0 else 0.0


def _ticks(stat: str) -> list[int]:
    """user, nice, system, idle, iowait, irq, softirq, steal of all CPUs (proc(5))."""
    return [int(word) for word in stat.splitlines()[0].split()[1:9]]


async def pairs(ours: Slice, theirs: Slice, count: int, most: int = 3) -> list[Pair]:
    """`count` good pairs in at most `most` times as many tries; who goes first alternates."""
    found: list[Pair] = []
    for turn in range(count * most):
        before = Path("/proc/stat").read_text()
        first, second = (ours, theirs) if turn % 2 == 0 else (theirs, ours)
        one, other = await first(), await second()
        share = stolen(before, Path("/proc/stat").read_text())
        found.append(Pair(one, other, share) if turn % 2 == 0 else Pair(other, one, share))
        if sum(pair.good for pair in found) >= count:
            break
    return found


def cpu_s(pid: int) -> float:
    """Seconds of CPU that all threads of a process have had, to the nanosecond (schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def rss_kib(pid: int) -> int:
    """Resident memory of a process in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def pin(pid: int, cpus: Iterable[int]) -> None:
    """Keep every thread of a process on these CPUs."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cpus)
