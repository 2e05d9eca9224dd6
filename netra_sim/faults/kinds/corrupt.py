"""Bytes are changed on the way; their number and order stay."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Way


@dataclass(frozen=True)
class Corrupt(Kind):
    """On average one byte in `every` is changed, at seeded places; 0 and 1 change all. A hit is a chunk changed."""

    name = "corrupt"
    discards = True
    every: int = 0

    def stub(self, way: Way, rng: Random) -> Stub[Corrupt]:
        """A distance to the next byte that is changed."""
        return _Noise(self, way, rng)


class _Noise(Stub[Corrupt]):
    def __init__(self, kind: Corrupt, way: Way, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._next = self._gap() - 1

    def data(self, chunk: bytes) -> None:
        if self._next < len(chunk):
            self.way.hit()
            chunk = self._changed(bytearray(chunk))
        self._next -= len(chunk)
        self.way.write(chunk)

    def update(self, kind: Corrupt) -> None:
        super().update(kind)
        self._next = self._gap() - 1

    def remove(self) -> None:
        """Nothing is held."""

    def _changed(self, chunk: bytearray) -> bytes:
        while self._next < len(chunk):
            chunk[self._next] ^= self.rng.randint(1, 255)
            self._next += self._gap()
        return bytes(chunk)

    def _gap(self) -> int:
        """Bytes to the next one, uniform, `every` on average."""
        return self.rng.randint(1, max(1, 2 * self.kind.every - 1))
