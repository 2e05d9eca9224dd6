"""The contract of a kind of fault: a frozen dataclass of attributes that makes a stub for each link it strikes.

A stub sits in one direction of one connection. It must be removable at any time: `remove` hands on at once and in order
what it holds (unless discarding is its purpose), and no timer of it may fire afterwards.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Generic, Protocol, TypeVar


class Timer(Protocol):
    """What a scheduled call gives back."""

    def cancel(self) -> None:
        """It will not be called."""
        ...


class Way(Protocol):
    """What lies behind a stub: the next stub or the socket, and what a stub may do to its connection."""

    def write(self, data: bytes) -> None:
        """Hand on bytes."""
        ...

    def eof(self) -> None:
        """Hand on the end of the stream."""
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

    def hold(self, held: int) -> None:
        """Tell how many bytes the stub holds: the source is not read while that is too much."""
        ...

    def now(self) -> float:
        """The loop's clock in seconds."""
        ...

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call after some time, unless cancelled."""
        ...

    def hit(self) -> None:
        """Count that the fault struck."""
        ...


@dataclass(frozen=True)
class Kind(ABC):
    """Attributes of a fault; integers, 0 by default, as in Toxiproxy."""

    name: ClassVar[str]
    whole_proxy: ClassVar[bool] = False  # strikes the listener, not single links
    at_door: ClassVar[bool] = False  # strikes new connections before their first byte, not links
    discards: ClassVar[bool] = False  # loses or changes bytes: that is its purpose

    @abstractmethod
    def stub(self, way: Way, rng: Random) -> Stub[Any]:
        """The fault on one link."""


K = TypeVar("K", bound=Kind)


class Stub(ABC, Generic[K]):
    """One fault in one direction of one connection; as it stands, it hands everything on."""

    def __init__(self, kind: K, way: Way, rng: Random) -> None:
        self.kind, self.way, self.rng = kind, way, rng

    @abstractmethod
    def data(self, chunk: bytes) -> None:
        """Bytes have come."""

    def eof(self) -> None:
        """The stream has ended."""
        self.way.eof()

    def update(self, kind: K) -> None:
        """Other attributes from now on; nothing that is held is let go for it."""
        self.kind = kind

    @abstractmethod
    def remove(self) -> None:
        """The fault is taken away, or its connection has gone: let go of everything."""
