"""One append-only history of a run: what users did, what faults struck, what the auditor read.

A record is one JSON line. An operation has a record for its invoke and one for its completion, joined
by `id`; a fault has records planned, fired and healed under one id; an observation is a single record.
After Jepsen's histories (https://github.com/jepsen-io/jepsen): a timeout after send is unknown, never fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from netra_sim.kernel.clock import Clock, SystemClock

Phase = Literal["invoke", "ok", "fail", "unknown", "planned", "fired", "healed", "seen"]
Outcome = Literal["ok", "fail", "unknown"]
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Record:
    """One line: `t` in CLOCK_MONOTONIC nanoseconds, who (`actor`) did what (`f`), with which value."""

    t: int
    id: int
    actor: str
    f: str
    phase: Phase
    value: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The record as one line of JSON."""
        return json.dumps([self.t, self.id, self.actor, self.f, self.phase, self.value], separators=(",", ":"))

    @staticmethod
    def from_json(line: str) -> Record:
        """The record of one line; ValueError when it is broken."""
        try:
            t, id_, actor, f, phase, value = json.loads(line)
        except TypeError as error:
            raise ValueError(line) from error
        return Record(t, id_, actor, f, phase, value)


@dataclass(frozen=True, slots=True)
class Op:
    """An operation: `start` and `end` in ns (`end` is None when no completion was recorded)."""

    id: int
    actor: str
    f: str
    start: int
    end: int | None
    outcome: Outcome
    value: dict[str, Any]
    result: dict[str, Any]

    @property
    def seconds(self) -> float | None:
        """How long it took, or None while unknown."""
        return None if self.end is None else (self.end - self.start) / 1e9


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault's life in ns; `hits` counts what it struck, 0 means that it never fired.

    `fired` is when the blow was done; `began`, at most that, when it was begun.
    """

    id: int
    kind: str
    target: str
    planned: int
    fired: int | None
    healed: int | None
    hits: int
    value: dict[str, Any]

    @property
    def began(self) -> int | None:
        """When the blow was begun, ns."""
        return None if self.fired is None else int(self.value.get("began", self.fired))


class HistoryWriter:
    """The single writer of a run's history; it lives in the lab host."""

    def __init__(self, clock: Clock | None = None, sink: IO[str] | None = None) -> None:
        self.clock = clock or SystemClock()
        self._ids = itertools.count(1)
        self._sink = sink
        self._records: list[Record] = []
        self._awaited: list[tuple[Callable[[Record], bool], asyncio.Future[Record]]] = []
        self._put(Record(self.clock.now_ns(), 0, "run", "start", "seen", {"wall": time.time(), "schema": SCHEMA}))

    def invoke(self, actor: str, f: str, **value: Any) -> int:
        """Record that an operation begins; its id joins the completion."""
        return self._put(Record(self.clock.now_ns(), next(self._ids), actor, f, "invoke", value))

    def complete(self, op: int, actor: str, f: str, outcome: Outcome, **result: Any) -> None:
        """Record how the operation `op` ended."""
        self._put(Record(self.clock.now_ns(), op, actor, f, outcome, result))

    @contextlib.contextmanager
    def op(self, actor: str, f: str, **value: Any) -> Iterator[None]:
        """Record what is done within as one operation: ok, or fail when it raises."""
        id_ = self.invoke(actor, f, **value)
        try:
            yield
        except BaseException as error:
            self.complete(id_, actor, f, "fail", code=type(error).__name__)
            raise
        self.complete(id_, actor, f, "ok")

    def seen(self, actor: str, f: str, **value: Any) -> None:
        """Record an observation: a frame that arrived, a row that was read, a mark of the run."""
        self._put(Record(self.clock.now_ns(), next(self._ids), actor, f, "seen", value))

    def fault(self, id_: int | None, kind: str, phase: Literal["planned", "fired", "healed"], **value: Any) -> int:
        """Record a step in a fault's life; the first call (id None) gives it its id."""
        return self._put(Record(self.clock.now_ns(), id_ or next(self._ids), "nemesis", kind, phase, value))

    def first(self, matches: Callable[[Record], bool]) -> asyncio.Future[Record]:
        """The next record from now on that matches, as soon as it is written; for the event loop that writes."""
        future: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._awaited.append((matches, future))
        return future

    def since(self, number: int) -> list[Record]:
        """The records after the first `number` ones."""
        return self._records[number:]

    def freeze(self) -> History:
        """The history so far, as an immutable value."""
        return History(tuple(self._records))

    def _put(self, record: Record) -> int:
        self._records.append(record)
        if self._sink is not None:
            self._sink.write(record.to_json() + "\n")
        if self._awaited:
            self._tell(record)
        return record.id

    def _tell(self, record: Record) -> None:
        """Wake who waits for this record; who waits no more is forgotten."""
        for matches, future in self._awaited:
            if not future.done() and matches(record):
                future.set_result(record)
        self._awaited = [each for each in self._awaited if not each[1].done()]


class History:
    """An immutable history and the views that checks and plots take of it."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = tuple(records)
        self._ops: tuple[Op, ...] | None = None

    @property
    def start(self) -> int:
        """The first record's time, ns."""
        return self.records[0].t if self.records else 0

    @property
    def end(self) -> int:
        """The last record's time, ns."""
        return self.records[-1].t if self.records else 0

    def seconds(self, t: int) -> float:
        """A record's time as seconds since the run's start."""
        return (t - self.start) / 1e9

    def ops(self, *names: str) -> list[Op]:
        """All operations, or those with one of these names, in the order of their invocation."""
        if self._ops is None:
            self._ops = tuple(_join(self.records))
        return [op for op in self._ops if not names or op.f in names]

    def seen(self, *names: str) -> list[Record]:
        """All observations with one of these names, in order."""
        return [r for r in self.records if r.phase == "seen" and r.f in names]

    def faults(self) -> list[Fault]:
        """Every planned fault with what became of it."""
        lives: dict[int, dict[str, Record]] = {}
        for record in self.records:
            if record.phase in ("planned", "fired", "healed"):
                lives.setdefault(record.id, {})[record.phase] = record
        return [_fault(id_, life) for id_, life in lives.items() if "planned" in life]

    def save(self, path: Path) -> None:
        """Write the history as JSON lines."""
        path.write_text("".join(r.to_json() + "\n" for r in self.records))

    @staticmethod
    def load(path: Path) -> History:
        """Read JSON lines; a broken last line (the writer was killed) is dropped."""
        lines = path.read_text().splitlines()
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                records.append(Record.from_json(line))
            except ValueError:
                if number < len(lines):
                    raise
        return History(records)


def _join(records: Iterable[Record]) -> Iterator[Op]:
    """Pair each invoke with its completion; an invoke without one is unknown."""
    records = list(records)
    ends = {r.id: r for r in records if r.phase in ("ok", "fail", "unknown")}
    for r in records:
        if r.phase == "invoke":
            done = ends.get(r.id)
            outcome: Outcome = done.phase if done else "unknown"  # type: ignore[assignment]
            yield Op(r.id, r.actor, r.f, r.t, done.t if done else None, outcome, r.value, done.value if done else {})


def _fault(id_: int, life: dict[str, Record]) -> Fault:
    planned, fired, healed = life["planned"], life.get("fired"), life.get("healed")
    told = {**planned.value, **(fired.value if fired else {}), **(healed.value if healed else {})}
    hits, target = int(told.get("hits", 0)), str(told.get("target", ""))
    return Fault(id_, planned.f, target, planned.t, _time(fired), _time(healed), hits, told)


def _time(record: Record | None) -> int | None:
    return None if record is None else record.t
