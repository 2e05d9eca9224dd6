"""Half-open: nothing is forwarded and nothing closed, yet TCP acknowledges."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Way


@dataclass(frozen=True)
class BlackHole(Kind):
    """No attributes. Removed, it resets connections that lost something: the host forgot them. A hit is a chunk."""

    name = "black_hole"
    discards = True

    def stub(self, way: Way, rng: Random) -> Stub[BlackHole]:
        """A sink on the link."""
        return _Sink(self, way, rng)


class _Sink(Stub[BlackHole]):
    def __init__(self, kind: BlackHole, way: Way, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._lost = False

    def data(self, chunk: bytes) -> None:
        self.way.hit()
        self._lost = True

    def eof(self) -> None:
        self._lost = True

    def remove(self) -> None:
        if self._lost:
            self.way.reset()
