"""After so many bytes the connection is closed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Way


@dataclass(frozen=True)
class LimitData(Kind):
    """`bytes` that pass in this direction of a connection, counted while it is set. A hit is a connection closed."""

    name = "limit_data"
    discards = True
    bytes: int = 0

    def stub(self, way: Way, rng: Random) -> Stub[LimitData]:
        """A counter on the link."""
        return _Counter(self, way, rng)


class _Counter(Stub[LimitData]):
    def __init__(self, kind: LimitData, way: Way, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._passed = 0
        self._over = False

    def data(self, chunk: bytes) -> None:
        if self._over:
            return
        piece = chunk[: max(0, self.kind.bytes - self._passed)]
        self._passed += len(piece)
        if piece:
            self.way.write(piece)
        if self._passed >= self.kind.bytes:
            self._over = True
            self.way.hit()
            self.way.hang_up()

    def eof(self) -> None:
        if not self._over:
            self.way.eof()

    def remove(self) -> None:
        """Nothing is held."""
