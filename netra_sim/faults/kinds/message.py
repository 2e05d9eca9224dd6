"""The contract of a kind that strikes messages: a frozen dataclass that makes a screen for each connection it takes.

A screen sees both directions of one connection, and decides on every message: hand it on, hold it, or not. `remove`
hands on at once and in order what it holds, and no timer of it may fire afterwards.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from netra_sim.faults.kinds.base import Kind, Stub, Timer, Way
from netra_sim.faults.match import ALL, Matcher
from netra_sim.faults.wire.base import Message, Stream
from netra_sim.kernel.errors import BadValue

PROTOCOLS = ("postgres", "redis", "http")


class MessageWay(Protocol):
    """What lies behind a screen in each direction, and what a screen may do to its connection."""

    stream: Stream
    protocol: str

    def forward(self, stream: Stream, message: Message) -> None:
        """Hand on a message; one that the screen made itself comes from `made`."""
        ...

    def eof(self, stream: Stream) -> None:
        """Hand on the end of a stream."""
        ...

    def close(self) -> None:
        """Close the connection in both directions."""
        ...

    def hang_up(self) -> None:
        """Close the connection in both directions, once what was handed on has been sent."""
        ...

    def reset(self) -> None:
        """Send RST to both ends."""
        ...

    def cut(self) -> None:
        """Send RST to both ends, once what was handed on has been sent."""
        ...

    def drained(self, stream: Stream, call: Callable[[], None]) -> None:
        """Call once no fault behind holds bytes of this direction; at once where none does."""
        ...

    def hold(self, stream: Stream, held: int) -> None:
        """Tell how many bytes the screen holds: the source is not read while that is too much."""
        ...

    def now(self) -> float:
        """The loop's clock in seconds."""
        ...

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call after some time, unless cancelled."""
        ...

    def awaited(self) -> int:
        """The oldest exchange whose answer the client has not got in full, 0 where it waits for none."""
        ...

    def matches(self, message: Message) -> bool:
        """Whether the message is one to strike; counted, so to be asked once for each."""
        ...

    def hit(self, message: Message) -> None:
        """Count that the fault struck this message."""
        ...


@dataclass(frozen=True)
class MessageKind(Kind):
    """A fault on messages: what it strikes is said by `match`."""

    protocols: ClassVar[tuple[str, ...]] = PROTOCOLS
    stream: ClassVar[Stream] = "upstream"  # of the messages, where a toxic does not say
    match: Matcher = ALL

    def stub(self, way: Way, rng: Random) -> Stub[Any]:
        """There is none: it strikes messages, not bytes."""
        raise NotImplementedError(f"{self.name} strikes messages")

    @abstractmethod
    def screen(self, way: MessageWay, rng: Random) -> Screen[Any]:
        """The fault on one connection."""


K = TypeVar("K", bound=MessageKind)


class Screen(ABC, Generic[K]):
    """One fault on one connection; `struck` gets what it named, everything else goes on.

    One that is `one_way` neither sees nor makes anything in the other direction, where bytes then need not wait.
    """

    one_way: ClassVar[bool] = False

    def __init__(self, kind: K, way: MessageWay, rng: Random) -> None:
        self.kind, self.way, self.rng = kind, way, rng

    def message(self, message: Message, stream: Stream) -> None:
        """A message has come."""
        if stream == self.way.stream and self.way.matches(message):
            self.struck(message, stream)
        else:
            self.way.forward(stream, message)

    @abstractmethod
    def struck(self, message: Message, stream: Stream) -> None:
        """A message that was named has come."""

    def eof(self, stream: Stream) -> None:
        """A stream has ended."""
        self.way.eof(stream)

    def answered(self) -> None:
        """An answer has reached the client in full."""

    def update(self, kind: K) -> None:
        """Other attributes from now on; nothing that is held is let go for it."""
        self.kind = kind

    def remove(self) -> None:
        """The fault is taken away, or its connection has gone: let go of everything."""


def made(raw: bytes) -> Message:
    """Bytes of a fault's own, or a part of a message: no fault behind takes them for a message."""
    return Message(raw, "made", whole=False)


def one_of(field: str, value: str, allowed: tuple[str, ...]) -> None:
    """BadValue for anything else."""
    if value not in allowed:
        raise BadValue(field=f"attributes.{field}", value=value, allowed=" or ".join(allowed))


def within(field: str, value: int, least: int, most: int = (1 << 63) - 1) -> None:
    """BadValue outside."""
    if not least <= value <= most:
        raise BadValue(field=f"attributes.{field}", value=value, allowed=f"an integer from {least} to {most}")
