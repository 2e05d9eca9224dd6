"""Nothing at all: a valid type in Toxiproxy, to try a set-up with."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Way


@dataclass(frozen=True)
class Noop(Kind):
    """No attributes. A hit is a chunk."""

    name = "noop"

    def stub(self, way: Way, rng: Random) -> Stub[Noop]:
        """A place in the chain."""
        return _Through(self, way, rng)


class _Through(Stub[Noop]):
    def data(self, chunk: bytes) -> None:
        self.way.hit()
        self.way.write(chunk)

    def remove(self) -> None:
        """Nothing is held."""
