"""The reader that stays where one has failed."""

from __future__ import annotations

from netra_sim.faults.wire.base import OPAQUE, Conversation, Message, Stream


class Blind(Conversation):
    """Understands nothing: what remains of a reader that failed."""

    protocol = ""
    opaque = "a defect in its reader"

    def feed(self, stream: Stream, data: bytes) -> list[Message]:
        """Every chunk as it is."""
        return [Message(data, OPAQUE)] if data else []

    def skim(self, stream: Stream, data: bytes) -> None:
        """Nothing."""

    def rest(self, stream: Stream) -> bytes:
        """Nothing is held."""
        return b""
