"""RST to both ends, at the first chunk or some time after it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Timer, Way


@dataclass(frozen=True)
class ResetPeer(Kind):
    """`timeout` in ms between the first chunk and the reset. A hit is a connection reset."""

    name = "reset_peer"
    timeout: int = 0

    def stub(self, way: Way, rng: Random) -> Stub[ResetPeer]:
        """A fuse on the link: the chunk that lights it is not handed on, so the end in mid-query is certain."""
        return _Fuse(self, way, rng)


class _Fuse(Stub[ResetPeer]):
    def __init__(self, kind: ResetPeer, way: Way, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._lit = 0.0
        self._timer: Timer | None = None
        self._held: list[bytes] = []
        self._ended = False
        self._size = 0

    def data(self, chunk: bytes) -> None:
        self._held.append(chunk)
        self._size += len(chunk)
        self.way.hold(self._size)
        if self._timer is None:
            self._lit = self.way.now()
            self._burns()

    def eof(self) -> None:
        self._ended = True
        if not self._held:
            self.way.eof()

    def update(self, kind: ResetPeer) -> None:
        super().update(kind)
        if self._timer is not None:
            self._timer.cancel()
            self._burns()

    def remove(self) -> None:
        """Put out in time: what was held goes on."""
        if self._timer is not None:
            self._timer.cancel()
        held, self._held = self._held, []
        for chunk in held:
            self.way.write(chunk)
        if held and self._ended:
            self.way.eof()

    def _burns(self) -> None:
        left = self._lit + self.kind.timeout / 1000 - self.way.now()
        self._timer = self.way.later(max(0.0, left), self._burn)

    def _burn(self) -> None:
        self._held.clear()
        self.way.hit()
        self.way.reset()
