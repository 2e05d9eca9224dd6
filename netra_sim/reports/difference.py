"""What changed since the run before: verdicts of checks, and numbers of operations, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from netra_sim.kernel.history import History
from netra_sim.reports.frames import op_name
from netra_sim.reports.result import Result

ENOUGH = 20  # successes in both runs before their medians are compared
MOVED = 0.1  # the share by which a median must differ to be told
NOTICED = 0.001  # seconds that it must differ by at least


@dataclass(frozen=True, slots=True)
class Counts:
    """Operations of one name: how many, how many did not succeed, and the successes' median in s where it counts."""

    number: int
    failed: int
    unanswered: int
    median: float | None


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation in the run before and in this one."""

    name: str
    before: Counts
    now: Counts

    @property
    def moved(self) -> float | None:
        """By which share the median differs, e.g. 0.25 for a quarter slower; None when that is not worth telling."""
        if self.before.median is None or self.now.median is None or not self.before.median:
            return None
        share = self.now.median / self.before.median - 1
        telling = abs(share) > MOVED and abs(self.now.median - self.before.median) > NOTICED
        return share if telling else None


@dataclass(frozen=True, slots=True)
class Difference:
    """Sentences that tell what changed, and the operations of both runs where their histories are kept."""

    started: str
    sentences: tuple[str, ...]
    operations: tuple[Operation, ...]


def difference(before: Result, now: Result) -> Difference:
    """Between a run and the one before it with the same scenario and parameter set."""
    operations = tuple(_operations(before, now))
    said = (*_verdicts(before.data, now.data), *_settings(before.data, now.data), *map(_slower, operations))
    return Difference(str(before.data["started"]), tuple(filter(None, said)), operations)


def duration(seconds: float | None) -> str:
    """A duration with the unit that suits it."""
    if seconds is None:
        return "too few"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.0f} ms" if seconds >= 0.01 else f"{seconds * 1e3:.1f} ms"


def _verdicts(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    old, new = ({check["check"]: check for check in data["checks"]} for data in (before, now))
    if before["verdict"] == now["verdict"]:
        yield f"The verdict is {now['verdict']}, as before."
    else:
        yield f"The verdict went from {before['verdict']} to {now['verdict']}."
    both = [name for name in new if name in old]
    changed = [name for name in both if old[name]["outcome"] != new[name]["outcome"]]
    for name in changed:
        told = f"`{name}` went from {old[name]['outcome']} to {new[name]['outcome']}."
        yield f"{told} Before: {old[name]['observed']} Now: {new[name]['observed']}"
    if both and not changed:
        yield f"Every one of the {len(both)} checks came out as before."
    yield from _names("New", new.keys() - old.keys())
    yield from _names("No longer judged", old.keys() - new.keys())


def _names(word: str, names: set[str]) -> Iterator[str]:
    if names:
        yield f"{word}: {', '.join(f'`{name}`' for name in sorted(names))}."


def _settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What else differs: the seed, a default that has changed, the commit, and how long all of it took."""
    old = {**before["parameters"], "seed": before["seed"], "time scale": before["time_scale"]}
    new = {**now["parameters"], "seed": now["seed"], "time scale": now["time_scale"]}
    for name, value in new.items():
        if name in old and old[name] != value:
            yield f"{name} was {old[name]} and is now {value}."
    if before.get("commit") != now.get("commit"):
        yield f"The code differs: commit {before.get('commit') or 'unknown'}, now {now.get('commit') or 'unknown'}."
    yield f"With its controls it took {now['seconds']:.1f} s, before {before['seconds']:.1f} s."


def _slower(operation: Operation) -> str:
    share = operation.moved
    if share is None:
        return ""
    was, is_ = duration(operation.before.median), duration(operation.now.median)
    word = "longer" if share > 0 else "less"
    return f"The median {operation.name} took {abs(share):.0%} {word}: {is_}, before {was}."


def _operations(before: Result, now: Result) -> Iterator[Operation]:
    if not all((result.folder / result.data["history"]).exists() for result in (before, now)):
        return
    names = dict.fromkeys(op.f for result in (now, before) for op in result.history.ops())
    for name in names:
        yield Operation(op_name(name), _counts(before.history, name), _counts(now.history, name))


def _counts(history: History, name: str) -> Counts:
    ops = history.ops(name)
    taken = [op.seconds for op in ops if op.outcome == "ok" and op.seconds is not None]
    failed, unanswered = (sum(op.outcome == outcome for op in ops) for outcome in ("fail", "unknown"))
    return Counts(len(ops), failed, unanswered, median(taken) if len(taken) >= ENOUGH else None)
