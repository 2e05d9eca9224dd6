"""Messages that wait in order, with the end of the stream behind them."""

from __future__ import annotations

from collections import deque

from netra_sim.faults.kinds.message import MessageWay
from netra_sim.faults.wire.base import Message, Stream


class Queue:
    """What a screen holds of one direction; None ends the stream."""

    def __init__(self, way: MessageWay, stream: Stream) -> None:
        self._way, self._stream = way, stream
        self._items: deque[tuple[Message | None, float]] = deque()
        self._held = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def first(self) -> Message | None:
        """The first one."""
        return self._items[0][0]

    @property
    def due(self) -> float:
        """When the first one is due, as was said when it came."""
        return self._items[0][1]

    @property
    def latest(self) -> float:
        """When the last one is due."""
        return self._items[-1][1]

    def put(self, message: Message | None, due: float = 0.0) -> None:
        """At the end."""
        self._items.append((message, due))
        self._count(message, 1)

    def take(self) -> Message | None:
        """The first one."""
        message, _ = self._items.popleft()
        self._count(message, -1)
        return message

    def pass_on(self) -> None:
        """The first one goes on."""
        message = self.take()
        if message is None:
            self._way.eof(self._stream)
        else:
            self._way.forward(self._stream, message)

    def let_go(self) -> None:
        """All go on."""
        while self._items:
            self.pass_on()

    def clear(self) -> None:
        """All are forgotten."""
        while self._items:
            self.take()

    def _count(self, message: Message | None, sign: int) -> None:
        if message is not None:
            self._held += sign * len(message.raw)
            self._way.hold(self._stream, self._held)
