"""Silence: what is sent is discarded, the end of the stream too."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Timer, Way


@dataclass(frozen=True)
class Timeout(Kind):
    """`timeout` in ms after which the connection is closed; 0 never. Removing it closes. A hit is a chunk discarded."""

    name = "timeout"
    timeout: int = 0

    def stub(self, way: Way, rng: Random) -> Stub:
        """A sink on the link."""
        return _Silence(self.timeout / 1000, way, rng)


class _Silence(Stub):
    def __init__(self, seconds: float, way: Way, rng: Random) -> None:
        super().__init__(way, rng)
        self._timer: Timer | None = way.later(seconds, way.close) if seconds > 0 else None

    def data(self, chunk: bytes) -> None:
        self.way.hit()

    def eof(self) -> None:
        """Nothing gets through, not even the end."""

    def remove(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.way.close()
