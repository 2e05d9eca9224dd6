"""One direction of a conversation: slices of any size go in, a reader takes messages off their front.

What a reader leaves is kept until enough has come: `Half.need` spares it being asked again before.
"""

from __future__ import annotations

from typing import Protocol

from netra_sim.faults.wire.base import OPAQUE, Message


class NotUnderstood(Exception):
    """These bytes are not what the reader reads; the text says why. It stays within the parsers."""


class Reader(Protocol):
    """What stands next in a direction: a head, a body, frames."""

    def read(self, data: bytes, at: int, out: list[Message]) -> int:
        """Tell one message from `at` on and return where it ends; or set `Half.need` and return `at`.

        Raises NotUnderstood, having told nothing.
        """
        ...


class Half:
    """A direction: the reader in turn, and the bytes that it could not use yet."""

    reader: Reader
    start: Reader  # the reader of whatever follows a message that is over

    def __init__(self) -> None:
        self.need = 0  # bytes from the first unused one on, without which no message is complete
        self.trouble = ""  # why it was not understood
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[Message]:
        """The messages that these bytes complete; from the first one not understood on they are opaque.

        No bytes at all let go of what is kept in a direction that has turned opaque meanwhile.
        """
        if self._parts:
            self._parts.append(data)
            self._held += len(data)
            if self._held < self.need:
                return []
            data = self.rest()
            self._parts.clear()
        out: list[Message] = []
        at, size, self.need = 0, len(data), 0
        try:
            while at < size and not self.need:
                at = self.reader.read(data, at, out)
        except NotUnderstood as trouble:
            self.trouble = str(trouble)
            out.append(Message(data[at:], OPAQUE))
            return out
        if self.need:
            self._parts.append(data[at:])
            self._held = size - at
        return out

    def rest(self) -> bytes:
        """The bytes that are kept."""
        return b"".join(self._parts)

    def wait(self, data: bytes, at: int, need: int = 0) -> int:
        """More bytes are needed than stand from `at` on: so many in all, or any; returns `at`."""
        self.need = need or len(data) - at + 1
        return at

    def starts_with(self, reader: Reader) -> None:
        """From the next message on another reader; what is kept of a message not complete is read by it too."""
        if self.reader is self.start:
            self.reader = reader
        self.start = reader

    def over(self) -> None:
        """The message is over."""
        self.reader = self.start

    def becomes(self, reader: Reader) -> None:
        """At once another reader, for good."""
        self.start = self.reader = reader
        self.need = 0


class Opaque:
    """Reads what nobody understands: each slice is a message."""

    def read(self, data: bytes, at: int, out: list[Message]) -> int:
        """All of it."""
        out.append(Message(data[at:], OPAQUE))
        return len(data)


class Part:
    """Reads the bytes of a message that is too long to be kept, as they come: each slice of it is a part."""

    def __init__(self, half: Half, size: int, like: Message, then: Reader) -> None:
        self._half, self._left, self._like, self._then = half, size, like, then

    def read(self, data: bytes, at: int, out: list[Message]) -> int:
        """What there is of it."""
        end = min(at + self._left, len(data))
        self._left -= end - at
        like = self._like
        out.append(Message(data[at:end], like.type, like.text, like.exchange, whole=False, facts=like.facts))
        if not self._left:
            self._half.reader = self._then
        return end
