"""Chunks arrive in small pieces with pauses between them, as over a bad line."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Way
from netra_sim.faults.kinds.pieces import Pieces


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


class _Knife(Pieces[Slicer]):
    def begin(self) -> None:
        """One piece now; the next after the pause."""
        self.timer = None
        spread = abs(self.kind.size_variation)
        size = max(1, self.kind.average_size + (self.rng.randint(-spread, spread) if spread else 0))
        piece = self.cut(size)
        if self.queue:
            self.timer = self.way.later(max(0, self.kind.delay) / 1e6, self.begin)
        self.hand_on(piece)
