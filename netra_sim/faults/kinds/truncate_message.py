"""Of a message only the first bytes come, then the connection is closed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, made, within
from netra_sim.faults.wire.base import Message, Stream


@dataclass(frozen=True)
class TruncateMessage(MessageKind):
    """`bytes` of the message that pass. A hit is a message truncated."""

    name = "truncate_message"
    stream = "downstream"
    discards = True
    bytes: int = 0

    def __post_init__(self) -> None:
        """BadValue below 0."""
        within("bytes", self.bytes, 0)

    def screen(self, way: MessageWay, rng: Random) -> Screen[TruncateMessage]:
        """A stump."""
        return _Stump(self, way, rng)


class _Stump(Screen[TruncateMessage]):
    _over = False

    def message(self, message: Message, stream: Stream) -> None:
        if not self._over:
            super().message(message, stream)

    def eof(self, stream: Stream) -> None:
        if not self._over:
            super().eof(stream)

    def struck(self, message: Message, stream: Stream) -> None:
        self._over = True
        self.way.hit(message)
        if piece := message.raw[: self.kind.bytes]:
            self.way.forward(stream, made(piece))
        self.way.drained(stream, self.way.hang_up)
