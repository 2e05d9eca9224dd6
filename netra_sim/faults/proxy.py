"""A listener in front of one of several upstreams, and the toxics set on its connections."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Sequence
from typing import Any

from netra_sim.faults.address import Address
from netra_sim.faults.connection import Connection
from netra_sim.faults.kinds.base import Kind
from netra_sim.faults.recording import Recording
from netra_sim.faults.toxic import Toxic
from netra_sim.faults.wire.base import STREAMS, Stream
from netra_sim.kernel.rng import Rng


class Proxy:
    """A listener in front of upstreams, taken in turn; one that refuses is passed over.

    With a `protocol`, every connection is understood from its first byte, and faults may name messages.
    """

    def __init__(self, name: str, listen: str, upstream: str, rng: Rng, protocol: str = "") -> None:
        self.name, self.upstream, self.protocol = name, upstream, protocol
        self.enabled = True
        self.toxics: list[Toxic] = []
        self.recording: Recording | None = None
        self._rng = rng.child("proxy", name)
        self._listen = Address.parse(listen)
        self._upstreams = [Address.parse(part) for part in upstream.split(",")]
        self._turn = itertools.cycle(range(len(self._upstreams)))
        self.accepted = 0  # connections; the last one's number
        self._past = dict.fromkeys(STREAMS, (0, 0))  # bytes received and sent by connections that have gone
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._bound: socket.socket | None = None  # keeps the port while nobody listens
        self._settling = asyncio.Lock()
        self._closed = False

    @property
    def listen(self) -> str:
        """Where it listens, with the port it was given."""
        return str(self._listen)

    @property
    def down(self) -> bool:
        """Whether it is deleted or disabled, or a fault takes it down."""
        return self._closed or not self.enabled or any(t.kind.whole_proxy for t in self.toxics)

    @property
    def connections(self) -> list[Connection]:
        """Those that are open, oldest first."""
        return sorted(self._connections, key=lambda connection: connection.number)

    def traffic(self, stream: Stream) -> tuple[int, int]:
        """Bytes received and bytes sent in a direction, by all connections so far."""
        links = [connection.links[stream] for connection in self._connections]
        received, sent = self._past[stream]
        return received + sum(link.received for link in links), sent + sum(link.sent for link in links)

    async def stands(self, listen: str, upstream: str) -> bool:
        """Whether it has these addresses, names resolved; ValueError or OSError for what is no address."""
        wanted, _ = Address.parse(listen), [Address.parse(part) for part in upstream.split(",")]
        if wanted != self._listen:
            family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
            found = await asyncio.get_running_loop().getaddrinfo(wanted.host, wanted.port, family=family)
            wanted = Address(*found[0][4][:2])
        return (wanted, upstream) == (self._listen, self.upstream)

    async def open(self) -> None:
        """Take the address, and listen unless down; OSError when it is taken."""
        self._bound = self._bind()
        await self.settle()

    async def settle(self) -> None:
        """Bring the listener in line with what is set: closed and its connections dropped when down, else open."""
        async with self._settling:
            if self.down and self._server is not None:
                self._unlisten()
                self._bound = self._bind()
            elif not self.down and self._server is None:
                await self._serve()

    async def move(self, listen: str, upstream: str) -> None:
        """Another address or other upstreams; connections are dropped."""
        address, upstreams = Address.parse(listen), [Address.parse(part) for part in upstream.split(",")]
        async with self._settling:
            self._unlisten()
            self._listen, self._upstreams, self.upstream = address, upstreams, upstream
            self._turn = itertools.cycle(range(len(upstreams)))
        await self.open()

    async def stop(self) -> None:
        """Disable it and let go of its port, until it is enabled and settled."""
        self.enabled = False
        async with self._settling:
            self._unlisten()

    async def close(self) -> None:
        """Stop listening and drop every connection, for good."""
        self._closed = True
        for toxic in self.toxics:
            if toxic.timer is not None:
                toxic.timer.cancel()
        async with self._settling:
            self._unlisten()

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._listen.host else socket.AF_INET
        bound = socket.socket(family)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._listen.host, self._listen.port))
        except OSError:
            bound.close()
            raise
        self._listen = Address(*bound.getsockname()[:2])
        return bound

    async def _serve(self) -> None:
        bound, self._bound = self._bound or self._bind(), None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, sock=bound, backlog=1024)

    def _accept(self) -> asyncio.Protocol:
        self.accepted += 1
        return Connection(self, self.accepted).client

    def _unlisten(self) -> None:
        """Nobody listens, nobody is connected."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._bound is not None:
            self._bound.close()
            self._bound = None
        for toxic in (t for t in self.toxics if t.kind.whole_proxy):
            for connection in self._connections:
                toxic.hit(connection.number)
        for connection in tuple(self._connections):
            connection.close()

    def toxic(self, name: str) -> Toxic | None:
        """The toxic of that name."""
        return next((t for t in self.toxics if t.name == name), None)

    async def add(self, toxic: Toxic) -> None:
        """Set a toxic on what is open and on what comes."""
        self.toxics.append(toxic)
        for connection in tuple(self._connections):
            connection.strike(toxic)
        await self.settle()

    async def remove(self, toxic: Toxic) -> None:
        """Take a toxic away; bytes it holds go on, in order."""
        if toxic not in self.toxics:
            return
        self.toxics.remove(toxic)
        if toxic.timer is not None:
            toxic.timer.cancel()
        for connection in tuple(self._connections):
            connection.spare(toxic)
        await self.settle()

    async def update(self, toxic: Toxic, kind: Kind, toxicity: float) -> None:
        """Give a toxic other attributes of its kind and another toxicity, on open connections too."""
        toxic.kind, toxic.toxicity = kind, toxicity
        for connection in tuple(self._connections):
            connection.update(toxic)

    def struck(self, toxic: Toxic, connection: int) -> Any:
        """The random stream of a toxic on a connection, or None where its toxicity spares that connection."""
        rng = self._rng if toxic.seed is None else Rng(toxic.seed).child("faults")
        stream = rng.stream(toxic.name, connection)
        return stream if stream.random() < toxic.toxicity else None

    def joined(self, connection: Connection) -> None:
        """A connection has come."""
        self._connections.add(connection)

    def left(self, connection: Connection) -> None:
        """A connection has gone; it may tell that more than once."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        for stream, link in connection.links.items():
            received, sent = self._past[stream]
            self._past[stream] = received + link.received, sent + link.sent
        for toxic in self.toxics:
            toxic.left(connection.number)

    def candidates(self) -> Sequence[Address]:
        """The upstreams, beginning with the one whose turn it is."""
        first = next(self._turn)
        return [*self._upstreams[first:], *self._upstreams[:first]]
