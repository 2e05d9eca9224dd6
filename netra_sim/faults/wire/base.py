"""The contract of a parser: both directions of one connection, read in slices of any size, told as messages.

Concatenating the `raw` of the messages of a direction and its `rest` gives the bytes that were fed, whatever they were.
What a parser does not understand it tells as messages of the type "opaque"; it never raises for what is on the wire.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

Stream = Literal["upstream", "downstream"]
STREAMS: tuple[Stream, Stream] = ("upstream", "downstream")
MOST = 1 << 20  # bytes of one message that are kept together; a longer one is told in parts
OPAQUE = "opaque"
NO_FACTS: Mapping[str, Any] = {}


class Message(NamedTuple):
    """One message of a protocol, or a part of one that is too long.

    `type` is its name in the protocol's own documents. `text` says what it is about (SQL; command and arguments; method
    and path; the text of a frame), for an answer what its request was about. `exchange` numbers the requests of a
    connection from 1; an answer has the number of its request, 0 belongs to none. `last` ends a request or
    the answer of an exchange.
    """

    raw: bytes
    type: str
    text: str = ""
    exchange: int = 0
    last: bool = False
    whole: bool = True
    facts: Mapping[str, Any] = NO_FACTS


class Conversation(ABC):
    """A connection as its two ends understand it."""

    protocol: ClassVar[str]
    opaque: str = ""  # why it is not understood any more, such as TLS; empty while it is

    @abstractmethod
    def feed(self, stream: Stream, data: bytes) -> list[Message]:
        """The messages that these bytes complete, in order."""

    def skim(self, stream: Stream, data: bytes) -> None:
        """Like `feed` for whoever needs no messages: afterwards it knows the same."""
        self.feed(stream, data)

    @abstractmethod
    def rest(self, stream: Stream) -> bytes:
        """The bytes of a message that is not complete yet."""

    def awaited(self) -> int:
        """The number of the oldest exchange whose answer is not complete, 0 where nothing is owed."""
        return 0
