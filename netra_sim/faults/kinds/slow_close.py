"""Only the end of the stream is delayed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Timer, Way


@dataclass(frozen=True)
class SlowClose(Kind):
    """`delay` in ms. A hit is an end delayed."""

    name = "slow_close"
    delay: int = 0

    def stub(self, way: Way, rng: Random) -> Stub[SlowClose]:
        """A timer on the link's end."""
        return _Late(self, way, rng)


class _Late(Stub[SlowClose]):
    def __init__(self, kind: SlowClose, way: Way, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._since: float | None = None
        self._timer: Timer | None = None

    def data(self, chunk: bytes) -> None:
        self.way.write(chunk)

    def eof(self) -> None:
        self.way.hit()
        self._since = self.way.now()
        self._wait(self._since)

    def update(self, kind: SlowClose) -> None:
        super().update(kind)
        if self._since is not None and self._timer is not None:
            self._timer.cancel()
            self._wait(self._since)

    def remove(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._end()

    def _wait(self, since: float) -> None:
        self._timer = self.way.later(max(0.0, since + self.kind.delay / 1000 - self.way.now()), self._end)

    def _end(self) -> None:
        self._timer = None
        self.way.eof()
