"""Silence: what is sent is discarded, the end of the stream too."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Timer, Way


@dataclass(frozen=True)
class Timeout(Kind):
    """`timeout` in ms after which the connection is closed; 0 never. Removing it closes. A hit is a chunk discarded."""

    name = "timeout"
    discards = True
    timeout: int = 0

    def stub(self, way: Way, rng: Random) -> Stub[Timeout]:
        """A sink on the link."""
        return _Silence(self, way, rng)


class _Silence(Stub[Timeout]):
    def __init__(self, kind: Timeout, way: Way, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._since = way.now()
        self._timer: Timer | None = None
        self._wait()

    def data(self, chunk: bytes) -> None:
        self.way.hit()

    def eof(self) -> None:
        """Nothing gets through, not even the end."""

    def update(self, kind: Timeout) -> None:
        super().update(kind)
        self._wait()

    def remove(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.way.close()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.kind.timeout > 0:
            left = self._since + self.kind.timeout / 1000 - self.way.now()
            self._timer = self.way.later(max(0.0, left), self.way.close)
