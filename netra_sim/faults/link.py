"""One direction of one connection: a chain of stubs between two sockets, changed while bytes flow."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from netra_sim.faults.kinds.base import Stub
from netra_sim.faults.toxic import Toxic

MOST_HELD = 1 << 20  # bytes held by the stubs of a link before its source is no longer read
SMALL = 4096  # bytes that are written at once: of more, a part that the socket does not take would be copied


class Ends(Protocol):
    """The connection of a link, as the link sees it."""

    number: int

    def close(self) -> None:
        """Close both sockets."""
        ...

    def hang_up(self) -> None:
        """Close both sockets, once they have sent what they hold."""
        ...

    def reset(self) -> None:
        """RST on both sockets."""
        ...

    def finished(self) -> None:
        """One of the two streams has ended at its socket."""
        ...


class Link:
    """Bytes come in at `feed`, pass the stubs in order, and leave through `out`; time is the loop's."""

    def __init__(self, connection: Ends, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.over = False
        self.received = self.sent = 0  # bytes
        self.out: asyncio.Transport | None = None
        self._descriptor: int | None = None  # of its socket
        self._queued = False  # whether the transport may hold bytes that it has not written yet
        self.source: asyncio.Transport | None = None
        self._connection = connection
        self._chain: list[_Place] = []
        self._early: list[bytes] = []
        self._early_end = False
        self._ended = False
        self._full = False
        self._congested = False

    def feed(self, data: bytes) -> None:
        """Bytes from the source."""
        self.received += len(data)
        if self._chain:
            self._chain[0].stub.data(data)
        else:
            self.write(data)

    def ended(self) -> None:
        """The source has ended its stream, or has gone; a source that ends first and goes later tells both."""
        if self._ended:
            if self.over:
                self.finish()
            return
        self._ended = True
        self._source_ended()

    def pass_end(self) -> None:
        """The end of the stream, into the chain."""
        if self._chain:
            self._chain[0].stub.eof()
        else:
            self.finish()

    def _source_ended(self) -> None:
        self.pass_end()

    @property
    def number(self) -> int:
        """Of its connection."""
        return self._connection.number

    @property
    def toxics(self) -> list[Toxic]:
        """The faults of the chain, in order."""
        return [place.toxic for place in self._chain]

    def add(self, toxic: Toxic, rng: Random) -> None:
        """A fault at the end of the chain."""
        place = _Place(self, toxic)
        place.stub = toxic.kind.stub(place, rng)
        self._chain.append(place)

    def remove(self, toxic: Toxic) -> None:
        """Take a fault out of the chain; what it holds goes to the next one, in order."""
        for place in [p for p in self._chain if p.toxic is toxic]:
            place.stub.remove()
            if place in self._chain:
                self._chain.remove(place)
            place.gone = True
            self.balance()

    def update(self, toxic: Toxic) -> bool:
        """The fault's attributes have changed; False when it is not in this chain."""
        places = [place for place in self._chain if place.toxic is toxic]
        for place in places:
            place.stub.update(toxic.kind)
        return bool(places)

    def clear(self) -> None:
        """The connection has gone: no stub may act any more."""
        for place in self._chain:
            place.gone = True
            place.stub.remove()
        self._chain.clear()

    def behind(self, place: _Place) -> Stub[Any] | None:
        """The next stub, or None where the socket comes next."""
        at = self._chain.index(place) + 1
        return self._chain[at].stub if at < len(self._chain) else None

    def write(self, data: bytes) -> None:
        """To the socket; kept until there is one."""
        out = self.out
        if out is None:
            self._early.append(data)
        elif not out.is_closing():
            size = len(data)
            self.sent += size
            if self._queued:
                self._queued = out.get_write_buffer_size() > 0
            if self._queued or self._descriptor is None or size > SMALL:
                self._queue(out, data)
                return
            try:
                written = os.write(self._descriptor, data)
            except OSError:  # the socket is full, or lost: the transport finds out which
                written = 0
            if written < size:
                self._queue(out, data[written:])

    def _queue(self, out: asyncio.Transport, data: bytes) -> None:
        """Into the transport's queue, which costs more than the write itself."""
        self._queued = True
        out.write(data)

    def joined(self, out: asyncio.Transport) -> None:
        """The socket is here: what came early goes first, and the source is read from now on."""
        self.out = out
        sock = out.get_extra_info("socket")
        self._descriptor = sock.fileno() if sock is not None else None
        early, self._early = self._early, []
        for data in early:
            self.write(data)
        if self._early_end:
            self.finish()
        self.read_or_wait()

    def finish(self) -> None:
        """End the stream at the socket; when the source is closed for good, close it."""
        if self.out is None:
            self._early_end = True
            return
        self.over = True
        if self.out.is_closing():
            return
        if self.source is None or self.source.is_closing():
            self.out.close()
        else:
            self.out.write_eof()
            self._connection.finished()

    def close(self) -> None:
        """Close both sockets."""
        self._connection.close()

    def hang_up(self) -> None:
        """Close both sockets, once they have sent what they hold."""
        self._connection.hang_up()

    def reset(self) -> None:
        """RST on both sockets."""
        self._connection.reset()

    def congested(self, yes: bool) -> None:
        """The socket takes no more, or takes again."""
        self._congested = yes
        self.read_or_wait()

    def balance(self) -> None:
        """Stubs hold more, or less."""
        self._full = sum(place.held for place in self._chain) > MOST_HELD
        self.read_or_wait()

    def read_or_wait(self) -> None:
        """Read the source only while its bytes have somewhere to go; an ended one would only end again."""
        if self.source is None or self.source.is_closing() or self._ended:
            return
        if self.out is None or self._full or self._congested:
            self.source.pause_reading()
        else:
            self.source.resume_reading()


class _Place:
    """A stub's place in the chain, and its way onwards."""

    stub: Stub[Any]

    def __init__(self, link: Link, toxic: Toxic) -> None:
        self.toxic, self.held, self.gone = toxic, 0, False
        self._link = link

    def write(self, data: bytes) -> None:
        if self.gone:
            return
        behind = self._link.behind(self)
        self._link.write(data) if behind is None else behind.data(data)

    def eof(self) -> None:
        if self.gone:
            return
        behind = self._link.behind(self)
        self._link.finish() if behind is None else behind.eof()

    def close(self) -> None:
        if not self.gone:
            self._link.close()

    def hang_up(self) -> None:
        if not self.gone:
            self._link.hang_up()

    def reset(self) -> None:
        if not self.gone:
            self._link.reset()

    def hold(self, held: int) -> None:
        self.held = held
        self._link.balance()

    def now(self) -> float:
        return self._link.loop.time()

    def later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return self._link.loop.call_later(seconds, call)

    def hit(self) -> None:
        self.toxic.hit(self._link.number)
