"""The network is parted: packets are lost and TCP sends them again, so bytes arrive late but whole when it heals."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Way


@dataclass(frozen=True)
class Partition(Kind):
    """No attributes. What is sent waits, the end too, and new connections hear nothing; a hit is a chunk held."""

    name = "partition"

    def stub(self, way: Way, rng: Random) -> Stub[Partition]:
        """A dam on the link."""
        return _Dam(self, way, rng)


class _Dam(Stub[Partition]):
    def __init__(self, kind: Partition, way: Way, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._held: list[bytes] = []
        self._size = 0
        self._ended = False

    def data(self, chunk: bytes) -> None:
        self.way.hit()
        self._held.append(chunk)
        self._size += len(chunk)
        self.way.hold(self._size)

    def eof(self) -> None:
        self._ended = True

    def remove(self) -> None:
        held, self._held = self._held, []
        for chunk in held:
            self.way.write(chunk)
        if self._ended:
            self.way.eof()
