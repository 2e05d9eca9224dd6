"""What the workers told of themselves during a run: breakers, level, pool, sockets and runs, as bands and steps.

A record `gauges` holds until the next of its worker; the last ones until the end of the load.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netra_sim.kernel.history import History, Record

SILENT = "silent"
CALM = {"closed", "normal"}


@dataclass(frozen=True, slots=True)
class Band:
    """A state that held from `start` to `end` seconds."""

    start: float
    end: float
    state: str


@dataclass(frozen=True, slots=True)
class Lane:
    """What `name` (a dependency, or `level`) was to one worker, as bands that touch."""

    name: str
    worker: str
    bands: tuple[Band, ...]

    @property
    def calm(self) -> bool:
        """Whether its worker never told anything but closed or normal."""
        return all(band.state in CALM or band.state == SILENT for band in self.bands)


@dataclass(frozen=True, slots=True)
class Steps:
    """A value that is `values[i]` from `edges[i]` to `edges[i + 1]` seconds."""

    edges: tuple[float, ...]
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gauges:
    """Lanes by name and worker, and the sums over all workers that answered."""

    lanes: tuple[Lane, ...]
    used: Steps
    size: Steps
    sockets: Steps
    runs: Steps


def gauges(history: History) -> Gauges | None:
    """What was observed, or None when nothing was."""
    records = history.seen("gauges")
    if not records:
        return None
    end = _end(history, records)
    by_worker: dict[str, list[Record]] = {}
    for record in records:
        by_worker.setdefault(str(record.value["worker"]), []).append(record)
    names = ["level", *dict.fromkeys(name for r in records for name in r.value.get("breakers", {}))]
    lanes = [_lane(history, name, by_worker[worker], end) for name in names for worker in sorted(by_worker)]
    reads: tuple[Callable[[Mapping[str, Any]], int], ...] = (
        lambda told: told["pool"]["used"],
        lambda told: told["pool"]["size"],
        lambda told: told["sockets"],
        lambda told: told["runs"],
    )
    return Gauges(tuple(lane for lane in lanes if lane.bands), *(_sum(history, records, end, read) for read in reads))


def coarse(steps: Steps, most: int = 400) -> Steps:
    """At most `most` steps of one width, each the greatest value in it; as it is when it has no more than that."""
    if len(steps.values) <= most:
        return steps
    first, last = steps.edges[0], steps.edges[-1]
    wide = (last - first) / most
    values = [0] * most
    for start, end, value in zip(steps.edges, steps.edges[1:], steps.values, strict=False):
        for n in range(min(int((start - first) / wide), most - 1), min(int((end - first) / wide), most - 1) + 1):
            values[n] = max(values[n], value)
    return Steps(tuple(first + n * wide for n in range(most + 1)), tuple(values))


def worker_name(worker: str) -> str:
    """`worker 2`, without the run's namespace."""
    match = re.search(r"worker-(\d+)$", worker)
    return f"worker {match[1]}" if match else worker


def _end(history: History, records: Sequence[Record]) -> float:
    ended = history.seen("load_ended")
    last = max(ended[-1].t if ended else history.end, records[-1].t)
    return history.seconds(last)


def _lane(history: History, name: str, records: Sequence[Record], end: float) -> Lane:
    """One worker's states, equal neighbours joined; a name that it did not tell of yet has no band."""
    told = [(history.seconds(r.t), _state(r.value, name)) for r in records]
    changes = [
        next(same) for _, same in itertools.groupby((each for each in told if each[1]), key=lambda each: each[1])
    ]
    ends = [*(t for t, _ in changes[1:]), end]
    bands = tuple(Band(t, until, state) for (t, state), until in zip(changes, ends, strict=bool(changes)))
    return Lane(name, worker_name(str(records[0].value["worker"])), bands)


def _state(told: Mapping[str, Any], name: str) -> str:
    if told.get("answers") is False:
        return SILENT
    return str(told["level"] if name == "level" else told["breakers"].get(name, ""))


def _sum(history: History, records: Sequence[Record], end: float, read: Callable[[Mapping[str, Any]], int]) -> Steps:
    """The sum over the workers that answer, after each record."""
    now: dict[str, int] = {}
    edges, values = [], []
    for record in records:
        told = record.value
        now[str(told["worker"])] = 0 if told.get("answers") is False else read(told)
        edges.append(history.seconds(record.t))
        values.append(sum(now.values()))
    return Steps((*edges, end), tuple(values))
