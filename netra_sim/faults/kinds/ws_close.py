"""A WebSocket is closed with a code of choice."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, made, within
from netra_sim.faults.wire.base import Message, Stream
from netra_sim.faults.wire.websocket import TYPES, close_frame


@dataclass(frozen=True)
class WsClose(MessageKind):
    """`code` and `reason` of the close frame that the client gets in place of the frame named. A hit is a close."""

    name = "ws_close"
    protocols = ("http",)
    stream = "downstream"
    discards = True
    code: int = 1011
    reason: str = ""

    def __post_init__(self) -> None:
        """BadValue for what is no code (RFC 6455, 7.4)."""
        within("code", self.code, 1000, 4999)

    def screen(self, way: MessageWay, rng: Random) -> Screen[WsClose]:
        """The close."""
        return _Close(self, way, rng)


class _Close(Screen[WsClose]):
    _over = False

    def message(self, message: Message, stream: Stream) -> None:
        if self._over:
            return
        if message.type in TYPES.values():
            super().message(message, stream)
        else:
            self.way.forward(stream, message)

    def eof(self, stream: Stream) -> None:
        if not self._over:
            super().eof(stream)

    def struck(self, message: Message, stream: Stream) -> None:
        self._over = True
        self.way.hit(message)
        self.way.forward("downstream", made(close_frame(self.kind.code, self.kind.reason)))
        self.way.drained("downstream", self.way.hang_up)
