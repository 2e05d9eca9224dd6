"""Redis refuses a command, which it never gets."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.answering import Answering
from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen
from netra_sim.faults.wire.base import Message
from netra_sim.kernel.errors import BadValue


@dataclass(frozen=True)
class RedisError(MessageKind):
    """`text` of the error with its code, such as "READONLY You can't write against a read only replica."

    A hit is a command refused. Within MULTI Redis does not know of it: EXEC runs the others.
    """

    name = "redis_error"
    protocols = ("redis",)
    discards = True
    text: str = "LOADING Redis is loading the dataset in memory"

    def __post_init__(self) -> None:
        """BadValue for more than a line."""
        if not self.text or "\r" in self.text or "\n" in self.text:
            raise BadValue(field="attributes.text", value=self.text, allowed="one line of text")

    def screen(self, way: MessageWay, rng: Random) -> Screen[RedisError]:
        """The refusal."""
        return _Refusal(self, way, rng)


class _Refusal(Answering[RedisError]):
    def answer(self, message: Message) -> bytes:
        return b"-" + self.kind.text.encode() + b"\r\n"

    def named(self, message: Message) -> bool:
        return message.type == "command"
