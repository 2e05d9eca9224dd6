"""Chunks arrive in small pieces with pauses between them, as over a bad line."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Timer, Way


@dataclass(frozen=True)
class Slicer(Kind):
    """`average_size` -+ `size_variation` bytes a piece, 1 at the least, `delay` in µs between two. A hit is a chunk."""

    name = "slicer"
    average_size: int = 0
    size_variation: int = 0
    delay: int = 0

    def stub(self, way: Way, rng: Random) -> Stub[Slicer]:
        """A knife on the link."""
        return _Knife(self, way, rng)


class _Knife(Stub[Slicer]):
    def __init__(self, kind: Slicer, way: Way, rng: Random) -> None:
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
            self._cut()

    def eof(self) -> None:
        self._ended = True
        if not self._queue:
            self.way.eof()

    def remove(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue:
            self._pass(self._queue.popleft())

    def _cut(self) -> None:
        """One piece now; the next after the pause."""
        self._timer = None
        spread = abs(self.kind.size_variation)
        size = max(1, self.kind.average_size + (self.rng.randint(-spread, spread) if spread else 0))
        chunk = self._queue.popleft()
        if len(chunk) > size:
            self._queue.appendleft(chunk[size:])
        if self._queue:
            self._timer = self.way.later(max(0, self.kind.delay) / 1e6, self._cut)
        self._pass(chunk[:size])

    def _pass(self, piece: bytes) -> None:
        self._hold(-len(piece))
        self.way.write(piece)
        if self._ended and not self._queue:
            self.way.eof()

    def _hold(self, more: int) -> None:
        self._held += more
        self.way.hold(self._held)
