"""A message comes twice."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, made
from netra_sim.faults.wire.base import Message, Stream


@dataclass(frozen=True)
class DuplicateMessage(MessageKind):
    """No attributes but `match`. A hit is a message doubled."""

    name = "duplicate_message"
    discards = True

    def screen(self, way: MessageWay, rng: Random) -> Screen[DuplicateMessage]:
        """A copier."""
        return _Copier(self, way, rng)


class _Copier(Screen[DuplicateMessage]):
    one_way = True

    def struck(self, message: Message, stream: Stream) -> None:
        self.way.hit(message)
        self.way.forward(stream, message)
        self.way.forward(stream, made(message.raw))
