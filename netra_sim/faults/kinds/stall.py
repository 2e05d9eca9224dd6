"""From a message on nothing passes in its direction, and nothing is closed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Timer
from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, within
from netra_sim.faults.kinds.queue import Queue
from netra_sim.faults.wire.base import Message, Stream


@dataclass(frozen=True)
class Stall(MessageKind):
    """`timeout` in ms after which all goes on; 0 for as long as it is set. A hit is a message that began a stall."""

    name = "stall"
    timeout: int = 0

    def __post_init__(self) -> None:
        """BadValue below 0."""
        within("timeout", self.timeout, 0)

    def screen(self, way: MessageWay, rng: Random) -> Screen[Stall]:
        """A dam."""
        return _Dam(self, way, rng)


class _Dam(Screen[Stall]):
    one_way = True

    def __init__(self, kind: Stall, way: MessageWay, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._queue = Queue(way, way.stream)
        self._timer: Timer | None = None

    def message(self, message: Message, stream: Stream) -> None:
        if stream == self.way.stream and self._queue:
            self._queue.put(message)
        else:
            super().message(message, stream)

    def eof(self, stream: Stream) -> None:
        if stream == self.way.stream and self._queue:
            self._queue.put(None)
        else:
            super().eof(stream)

    def struck(self, message: Message, stream: Stream) -> None:
        self.way.hit(message)
        self._queue.put(message)
        if self.kind.timeout:
            self._timer = self.way.later(self.kind.timeout / 1000, self.remove)

    def remove(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._queue.let_go()
