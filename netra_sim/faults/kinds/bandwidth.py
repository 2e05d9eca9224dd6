"""A narrow line: so many bytes a second, in slices of at most 100 ms."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Way
from netra_sim.faults.kinds.pieces import Pieces

SLICE_MS = 100


@dataclass(frozen=True)
class Bandwidth(Kind):
    """`rate` in KB (1,000 bytes) a second; 0 stalls. A hit is a chunk."""

    name = "bandwidth"
    rate: int = 0

    def stub(self, way: Way, rng: Random) -> Stub[Bandwidth]:
        """A queue on the link."""
        return _Narrow(self, way, rng)


class _Narrow(Pieces[Bandwidth]):
    def begin(self) -> None:
        """A slice takes its time on the line before it is handed on."""
        if self.queue and self.kind.rate > 0:
            size = min(len(self.queue[0]), self.kind.rate * SLICE_MS)
            self.timer = self.way.later(size / (self.kind.rate * 1000), lambda: self._through(size))

    def update(self, kind: Bandwidth) -> None:
        super().update(kind)
        self.stop()
        self.begin()

    def _through(self, size: int) -> None:
        self.timer = None
        self.hand_on(self.cut(size))
        if self.timer is None:
            self.begin()
