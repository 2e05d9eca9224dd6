"""A narrow line: so many bytes a second, in slices of at most 100 ms."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Timer, Way

SLICE_MS = 100


@dataclass(frozen=True)
class Bandwidth(Kind):
    """`rate` in KB (1,000 bytes) a second; 0 stalls. A hit is a chunk."""

    name = "bandwidth"
    rate: int = 0

    def stub(self, way: Way, rng: Random) -> Stub[Bandwidth]:
        """A queue on the link."""
        return _Narrow(self, way, rng)


class _Narrow(Stub[Bandwidth]):
    def __init__(self, kind: Bandwidth, way: Way, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._queue: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._timer: Timer | None = None

    def data(self, chunk: bytes) -> None:
        self.way.hit()
        self._queue.append(chunk)
        self._hold(len(chunk))
        if self._timer is None:
            self._next()

    def eof(self) -> None:
        self._ended = True
        if not self._queue:
            self.way.eof()

    def update(self, kind: Bandwidth) -> None:
        super().update(kind)
        self._stop()
        self._next()

    def remove(self) -> None:
        self._stop()
        while self._queue:
            self._pass(self._queue.popleft())

    def _next(self) -> None:
        """A slice takes its time on the line before it is handed on."""
        if self._queue and self.kind.rate > 0:
            size = min(len(self._queue[0]), self.kind.rate * SLICE_MS)
            self._timer = self.way.later(size / (self.kind.rate * 1000), lambda: self._through(size))

    def _through(self, size: int) -> None:
        self._timer = None
        chunk = self._queue.popleft()
        if len(chunk) > size:
            self._queue.appendleft(chunk[size:])
        self._pass(chunk[:size])
        if self._timer is None:
            self._next()

    def _pass(self, piece: bytes) -> None:
        self._hold(-len(piece))
        self.way.write(piece)
        if self._ended and not self._queue:
            self.way.eof()

    def _hold(self, more: int) -> None:
        self._held += more
        self.way.hold(self._held)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
