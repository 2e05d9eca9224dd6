"""A value read from Redis is shorter than it was, or another one."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.corrupt_message import altered, changed
from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, one_of
from netra_sim.faults.kinds.payload import bulks
from netra_sim.faults.wire.base import Message, Stream


@dataclass(frozen=True)
class RedisValue(MessageKind):
    """`how`: truncated to half, or corrupted; the reply stays a sound one. A hit is a reply that was changed."""

    name = "redis_value"
    protocols = ("redis",)
    stream = "downstream"
    discards = True
    how: str = "truncated"

    def __post_init__(self) -> None:
        """BadValue for what is not allowed."""
        one_of("how", self.how, ("truncated", "corrupted"))

    def screen(self, way: MessageWay, rng: Random) -> Screen[RedisValue]:
        """The change."""
        return _Change(self, way, rng)


class _Change(Screen[RedisValue]):
    one_way = True

    def struck(self, message: Message, stream: Stream) -> None:
        short = self.kind.how == "truncated"
        raw = truncated(message) if short else changed(message, "redis", self.rng, 4)
        if raw != message.raw:
            self.way.hit(message)
        self.way.forward(stream, altered(message, raw))


def truncated(message: Message) -> bytes:
    """Every bulk string at half its length, and said to be so long."""
    raw, parts, at = message.raw, [], 0
    for start, end in bulks(message):
        sign = raw.rfind(b"\r\n", 0, start - 2) + 2 if raw.rfind(b"\r\n", 0, start - 2) >= 0 else 0
        half = raw[start : start + (end - start) // 2]
        parts += [raw[at : sign + 1], str(len(half)).encode(), b"\r\n", half]
        at = end
    return b"".join([*parts, raw[at:]])
