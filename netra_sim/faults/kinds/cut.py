"""The connection ends exactly before a message, after it, or in its middle."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, made, one_of
from netra_sim.faults.wire.base import Message, Stream


@dataclass(frozen=True)
class Cut(MessageKind):
    """`when` before, after or in the middle of the message; `how` reset or close. A hit is a connection ended.

    After: the message has left this proxy in full, then the connection ends, and no answer passes any more.
    """

    name = "cut"
    discards = True
    when: str = "before"
    how: str = "reset"

    def __post_init__(self) -> None:
        """BadValue for what is not allowed."""
        one_of("when", self.when, ("before", "after", "middle"))
        one_of("how", self.how, ("reset", "close"))

    def screen(self, way: MessageWay, rng: Random) -> Screen[Cut]:
        """A blade."""
        return _Blade(self, way, rng)


class _Blade(Screen[Cut]):
    _fallen = False

    def message(self, message: Message, stream: Stream) -> None:
        if not self._fallen:
            super().message(message, stream)

    def eof(self, stream: Stream) -> None:
        if not self._fallen:
            super().eof(stream)

    def struck(self, message: Message, stream: Stream) -> None:
        self._fallen = True
        self.way.hit(message)
        if self.kind.when == "before":
            self._end()
            return
        whole = self.kind.when == "after"
        self.way.forward(stream, message if whole else made(message.raw[: len(message.raw) // 2]))
        self.way.drained(stream, self._end)

    def _end(self) -> None:
        if self.kind.how == "close":
            self.way.hang_up()
        elif self.kind.when == "before":
            self.way.reset()
        else:
            self.way.cut()
