"""The body of a response breaks off, is malformed, or trickles."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Timer
from netra_sim.faults.kinds.corrupt_message import altered, changed
from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, made, one_of, within
from netra_sim.faults.kinds.queue import Queue
from netra_sim.faults.wire.base import Message, Stream

PIECES = 10


@dataclass(frozen=True)
class HttpBody(MessageKind):
    """`how`: truncate (half of its first piece, then the connection ends), malformed, or slow.

    `delay` in ms between tenths of a piece, for slow. `match` names the response; a hit is a body changed.
    """

    name = "http_body"
    protocols = ("http",)
    stream = "downstream"
    discards = True
    how: str = "truncate"
    delay: int = 100

    def __post_init__(self) -> None:
        """BadValue for what is not allowed."""
        one_of("how", self.how, ("truncate", "malformed", "slow"))
        within("delay", self.delay, 0)

    def screen(self, way: MessageWay, rng: Random) -> Screen[HttpBody]:
        """The fault on the bodies."""
        return _Body(self, way, rng)


class _Body(Screen[HttpBody]):
    def __init__(self, kind: HttpBody, way: MessageWay, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._queue = Queue(way, "downstream")
        self._timer: Timer | None = None
        self._exchange = 0  # whose body is struck
        self._over = False

    def message(self, message: Message, stream: Stream) -> None:
        if self._over:
            return
        if stream == "upstream":
            self.way.forward(stream, message)
        elif message.type == "response":
            self._exchange = message.exchange if self.way.matches(message) else 0
            self._put(message)
        elif self._exchange and message.exchange == self._exchange and message.type != "end":
            self.struck(message, stream)
        else:
            self._put(message)

    def struck(self, message: Message, stream: Stream) -> None:
        if self.kind.how == "truncate":
            self.way.hit(message)
            self._over = True
            self.way.forward(stream, made(message.raw[: len(message.raw) // 2]))
            self.way.drained(stream, self.way.hang_up)
        elif self.kind.how == "malformed":
            self.way.hit(message)
            self._put(altered(message, changed(message, "http", self.rng, 1)))
        else:
            self.way.hit(message)
            self._trickle(message)

    def eof(self, stream: Stream) -> None:
        if stream == "downstream" and self._queue:
            self._queue.put(None, self._queue.latest)
        elif not self._over:
            super().eof(stream)

    def remove(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._queue.let_go()

    def _put(self, message: Message) -> None:
        if self._queue:
            self._queue.put(message, self._queue.latest)
        else:
            self.way.forward("downstream", message)

    def _trickle(self, message: Message) -> None:
        size = max(1, -(-len(message.raw) // PIECES))
        due = self._queue.latest if self._queue else self.way.now()
        begins = not self._queue
        for at in range(0, len(message.raw), size):
            due += self.kind.delay / 1000
            self._queue.put(made(message.raw[at : at + size]), due)
        if begins:
            self._wait()

    def _wait(self) -> None:
        self._timer = self.way.later(max(0.0, self._queue.due - self.way.now()), self._due)

    def _due(self) -> None:
        while self._queue and self._queue.due <= self.way.now():
            self._queue.pass_on()
        if self._queue:
            self._wait()
