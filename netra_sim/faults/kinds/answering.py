"""A request is swallowed and answered in the server's stead, when its turn in the pipeline has come."""

from __future__ import annotations

from abc import abstractmethod
from random import Random
from typing import TypeVar

from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, made
from netra_sim.faults.kinds.queue import Queue
from netra_sim.faults.wire.base import Message, Stream

K = TypeVar("K", bound=MessageKind)


class Answering(Screen[K]):
    """What follows the request waits too: so its answer is the next one that the client gets."""

    def __init__(self, kind: K, way: MessageWay, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._queue = Queue(way, "upstream")
        self._due: list[Message] = []  # those of the queue that are to be answered
        self._asked: Message | None = None  # its turn has come, but not yet its last part
        self._busy = self._over = False

    @abstractmethod
    def answer(self, message: Message) -> bytes:
        """What the client gets."""

    def complete(self, message: Message) -> bool:
        """Whether the request ends with this message."""
        return True

    @property
    def closes(self) -> bool:
        """Whether the connection ends after the answer."""
        return False

    def message(self, message: Message, stream: Stream) -> None:
        """Only requests are answered."""
        if self._over:
            return
        if stream == "downstream":
            self.way.forward(stream, message)
            return
        struck = self.named(message) and self.way.matches(message)
        if not (struck or self._queue or self._asked or self._busy):
            self.way.forward(stream, message)
            return
        self._queue.put(message)
        if struck:
            self._due.append(message)
        self._advance()

    def named(self, message: Message) -> bool:
        """Whether it can be answered at all."""
        return True

    def struck(self, message: Message, stream: Stream) -> None:
        """Not asked for: requests wait in the queue."""

    def eof(self, stream: Stream) -> None:
        """Behind what waits."""
        if stream == "upstream" and self._queue:
            self._queue.put(None)
        else:
            super().eof(stream)

    def answered(self) -> None:
        """Perhaps it is the turn of one that waits."""
        self._advance()

    def remove(self) -> None:
        """What waits for its turn goes to the server after all."""
        self._due.clear()
        self._queue.let_go()

    def _advance(self) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            while self._queue and not self._over and self._step():
                pass
        finally:
            self._busy = False

    def _step(self) -> bool:
        first = self._queue.first
        if self._asked is not None and first is not None and self._belongs(first):
            self._queue.take()
            self._tell_if_complete(first)
        elif not self._due or first is not self._due[0]:
            self._queue.pass_on()
        else:
            return self._turn(first)
        return True

    def _belongs(self, message: Message) -> bool:
        return self._asked is not None and message.exchange == self._asked.exchange

    def _turn(self, message: Message) -> bool:
        awaited = self.way.awaited()
        if 0 < awaited < message.exchange:
            return False
        self._queue.take()
        self._due.pop(0)
        self.way.hit(message)
        if awaited == message.exchange:  # else nobody waits for an answer to it
            self._asked = message
            self._tell_if_complete(message)
        return True

    def _tell_if_complete(self, message: Message) -> None:
        if self._asked is not None and self.complete(message):
            asked, self._asked = self._asked, None
            self.way.forward("downstream", made(self.answer(asked)))
            if self.closes:
                self._over = True
                self.way.drained("downstream", self.way.hang_up)
