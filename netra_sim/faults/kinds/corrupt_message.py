"""The payload of a message is changed; its type and its lengths stay, so that its reader goes on."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, within
from netra_sim.faults.kinds.payload import spans
from netra_sim.faults.wire.base import Message, Stream


@dataclass(frozen=True)
class CorruptMessage(MessageKind):
    """Of the payload one byte in `every` is changed, and at least one; 0 and 1 change all. A hit is one changed.

    A message without payload goes on as it is, and is no hit.
    """

    name = "corrupt_message"
    stream = "downstream"
    discards = True
    every: int = 1

    def __post_init__(self) -> None:
        """BadValue below 0."""
        within("every", self.every, 0)

    def screen(self, way: MessageWay, rng: Random) -> Screen[CorruptMessage]:
        """Noise."""
        return _Noise(self, way, rng)


class _Noise(Screen[CorruptMessage]):
    one_way = True

    def struck(self, message: Message, stream: Stream) -> None:
        raw = changed(message, self.way.protocol, self.rng, self.kind.every)
        if raw != message.raw:
            self.way.hit(message)
        self.way.forward(stream, altered(message, raw))


def changed(message: Message, protocol: str, rng: Random, every: int) -> bytes:
    """The message's bytes with printable noise in its payload."""
    raw = bytearray(message.raw)
    places = [at for start, end in spans(message, protocol) for at in range(start, end)]
    step = max(1, every)
    for begin in range(0, len(places), step):
        raw[rng.choice(places[begin : begin + step])] ^= rng.randint(1, 7)
    return bytes(raw)


def altered(message: Message, raw: bytes) -> Message:
    """The same message with other bytes: faults behind may still name it."""
    return message._replace(raw=raw)
