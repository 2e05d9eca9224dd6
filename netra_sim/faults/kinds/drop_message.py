"""A message is lost; the connection stays."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen
from netra_sim.faults.wire.base import Message, Stream


@dataclass(frozen=True)
class DropMessage(MessageKind):
    """No attributes but `match`. A hit is a message dropped."""

    name = "drop_message"
    discards = True

    def screen(self, way: MessageWay, rng: Random) -> Screen[DropMessage]:
        """A gap."""
        return _Gap(self, way, rng)


class _Gap(Screen[DropMessage]):
    one_way = True

    def struck(self, message: Message, stream: Stream) -> None:
        self.way.hit(message)
