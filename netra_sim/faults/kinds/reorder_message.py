"""A message changes places with the one that follows it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen
from netra_sim.faults.kinds.queue import Queue
from netra_sim.faults.wire.base import Message, Stream


@dataclass(frozen=True)
class ReorderMessage(MessageKind):
    """No attributes but `match`: it waits until the next message has passed. A hit is a message that was overtaken."""

    name = "reorder_message"

    def screen(self, way: MessageWay, rng: Random) -> Screen[ReorderMessage]:
        """A siding."""
        return _Siding(self, way, rng)


class _Siding(Screen[ReorderMessage]):
    one_way = True

    def __init__(self, kind: ReorderMessage, way: MessageWay, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._queue = Queue(way, way.stream)
        self._waiting: Message | None = None

    def message(self, message: Message, stream: Stream) -> None:
        if stream == self.way.stream and self._waiting is not None:
            overtaken = self._waiting
            if not message.whole:  # parts are not reordered: nothing may come between them, or before their beginning
                self.remove()
            self.way.forward(stream, message)
            if message.whole:
                self.way.hit(overtaken)
                self.remove()
        else:
            super().message(message, stream)

    def struck(self, message: Message, stream: Stream) -> None:
        self._waiting = message
        self._queue.put(message)

    def eof(self, stream: Stream) -> None:
        if stream == self.way.stream:
            self.remove()
        super().eof(stream)

    def remove(self) -> None:
        self._waiting = None
        self._queue.let_go()
