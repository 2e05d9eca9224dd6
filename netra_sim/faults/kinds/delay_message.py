"""A message comes late, and all that follows it in its direction waits behind it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Timer
from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, within
from netra_sim.faults.kinds.queue import Queue
from netra_sim.faults.wire.base import Message, Stream


@dataclass(frozen=True)
class DelayMessage(MessageKind):
    """`delay` and `jitter` in ms: uniform in delay -+ jitter. A hit is a message delayed."""

    name = "delay_message"
    delay: int = 0
    jitter: int = 0

    def __post_init__(self) -> None:
        """BadValue below 0."""
        within("delay", self.delay, 0)
        within("jitter", self.jitter, 0)

    def screen(self, way: MessageWay, rng: Random) -> Screen[DelayMessage]:
        """A queue in the direction of the messages named."""
        return _Late(self, way, rng)


class _Late(Screen[DelayMessage]):
    one_way = True

    def __init__(self, kind: DelayMessage, way: MessageWay, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._queue = Queue(way, way.stream)
        self._timer: Timer | None = None

    def message(self, message: Message, stream: Stream) -> None:
        if stream != self.way.stream:
            self.way.forward(stream, message)
        elif self.way.matches(message):
            self.struck(message, stream)
        else:
            self._follow(message)

    def eof(self, stream: Stream) -> None:
        if stream == self.way.stream:
            self._follow(None)
        else:
            super().eof(stream)

    def struck(self, message: Message, stream: Stream) -> None:
        self.way.hit(message)
        jitter = self.rng.uniform(-self.kind.jitter, self.kind.jitter) if self.kind.jitter else 0.0
        due = self.way.now() + max(0.0, self.kind.delay + jitter) / 1000
        self._put(message, max(due, self._queue.latest) if self._queue else due)

    def remove(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._queue.let_go()

    def _follow(self, message: Message | None) -> None:
        """Not delayed itself, but it never overtakes."""
        if self._queue:
            self._put(message, self._queue.latest)
        elif message is None:
            self.way.eof(self.way.stream)
        else:
            self.way.forward(self.way.stream, message)

    def _put(self, message: Message | None, due: float) -> None:
        begins = not self._queue
        self._queue.put(message, due)
        if begins:
            self._wait()

    def _wait(self) -> None:
        self._timer = self.way.later(max(0.0, self._queue.due - self.way.now()), self._due)

    def _due(self) -> None:
        while self._queue and self._queue.due <= self.way.now():
            self._queue.pass_on()
        if self._queue:
            self._wait()
