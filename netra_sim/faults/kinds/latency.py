"""Delay every chunk, counted from its arrival; a chunk never overtakes another."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Timer, Way


@dataclass(frozen=True)
class Latency(Kind):
    """`latency` and `jitter` in ms: a delay uniform in latency -+ jitter. A hit is a chunk."""

    name = "latency"
    latency: int = 0
    jitter: int = 0

    def stub(self, way: Way, rng: Random) -> Stub[Latency]:
        """A queue on the link."""
        return _Delay(self, way, rng)


class _Delay(Stub[Latency]):
    def __init__(self, kind: Latency, way: Way, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._queue: deque[tuple[float, bytes | None]] = deque()  # None ends the stream
        self._held = 0
        self._timer: Timer | None = None

    def data(self, chunk: bytes) -> None:
        self.way.hit()
        self._held += len(chunk)
        self.way.hold(self._held)
        self._put(chunk)

    def eof(self) -> None:
        self._put(None)

    def remove(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        while self._queue:
            self._pass()

    def _put(self, chunk: bytes | None) -> None:
        jitter = self.rng.uniform(-self.kind.jitter, self.kind.jitter) if self.kind.jitter else 0.0
        due = self.way.now() + max(0.0, self.kind.latency + jitter) / 1000
        if self._queue:
            due = max(due, self._queue[-1][0])
        self._queue.append((due, chunk))
        if len(self._queue) == 1:
            self._wait()

    def _wait(self) -> None:
        self._timer = self.way.later(max(0.0, self._queue[0][0] - self.way.now()), self._due)

    def _due(self) -> None:
        while self._queue and self._queue[0][0] <= self.way.now():
            self._pass()
        if self._queue:
            self._wait()

    def _pass(self) -> None:
        _, chunk = self._queue.popleft()
        if chunk is None:
            self.way.eof()
            return
        self._held -= len(chunk)
        self.way.hold(self._held)
        self.way.write(chunk)
