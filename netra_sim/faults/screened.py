"""A link whose connection is understood: bytes and their end go to the stage first, and come from it into the chain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from netra_sim.faults.link import MOST_HELD, Ends, Link
from netra_sim.faults.screens import Stage
from netra_sim.faults.wire.base import Stream


class ScreenedLink(Link):
    """One direction of a connection of a proxy that has a protocol."""

    stage: Stage

    def __init__(self, connection: Ends, loop: asyncio.AbstractEventLoop, stream: Stream) -> None:
        super().__init__(connection, loop)
        self.screened = 0  # bytes that the screens hold
        self._stream = stream
        self._when_drained: list[Callable[[], None]] = []

    def feed(self, data: bytes) -> None:
        """Bytes from the source."""
        self.received += len(data)
        if self.stage.screened[self._stream]:
            self.stage.feed(self._stream, data)
            return
        if self._chain:
            self._chain[0].stub.data(data)
        else:
            self.write(data)
        self.stage.listen(self._stream, data)

    def pass_on(self, data: bytes) -> None:
        """Into the chain of stubs."""
        if self._chain:
            self._chain[0].stub.data(data)
        else:
            self.write(data)

    def drained(self, call: Callable[[], None]) -> None:
        """Call once the chain holds nothing and the socket is there; at once when that is so."""
        if self._empty:
            call()
        else:
            self._when_drained.append(call)

    def joined(self, out: asyncio.Transport) -> None:
        """The socket is here."""
        super().joined(out)
        self._tell_drained()

    def balance(self) -> None:
        """Stubs or screens hold more, or less; a stub tells before it hands on, so who waits is told soon."""
        self._full = sum(place.held for place in self._chain) + self.screened > MOST_HELD
        self.read_or_wait()
        if self._when_drained and self._empty:
            self.loop.call_later(0, self._tell_drained)

    def clear(self) -> None:
        """The connection has gone."""
        self._when_drained.clear()
        self.stage.clear()
        super().clear()

    @property
    def _empty(self) -> bool:
        return self.out is not None and not any(place.held for place in self._chain)

    def _tell_drained(self) -> None:
        if self._empty:
            waiting, self._when_drained = self._when_drained, []
            for call in waiting:
                call()

    def _source_ended(self) -> None:
        self.stage.ended(self._stream)
