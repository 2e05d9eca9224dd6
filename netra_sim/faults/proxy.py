"""The sockets: a listener, its connections to one of several upstreams, and the toxics set on them."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from netra_sim.faults.kinds.base import Kind
from netra_sim.faults.link import Link, Stream, Toxic
from netra_sim.kernel.rng import Rng

LINGER = struct.pack("ii", 1, 0)  # close with RST (SO_LINGER, seconds 0)
STREAMS: tuple[Stream, Stream] = ("upstream", "downstream")


@dataclass(frozen=True)
class Address:
    """A host and a port."""

    host: str
    port: int

    @staticmethod
    def parse(text: str) -> Address:
        """`host:port`; an empty text or host is this machine, an empty port any; ValueError for what is no port."""
        host, _, port = text.strip().rpartition(":")
        if port and not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
            raise ValueError(f"address {text}: invalid port")
        return Address(host.strip("[]") or "127.0.0.1", int(port or 0))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Proxy:
    """A listener in front of upstreams, taken in turn; one that refuses is passed over."""

    def __init__(self, name: str, listen: str, upstream: str, rng: Rng) -> None:
        self.name, self.upstream = name, upstream
        self.enabled = True
        self.toxics: list[Toxic] = []
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

    def _accept(self) -> _Side:
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
            toxic.hits_on.pop(connection.number, None)

    def candidates(self) -> Sequence[Address]:
        """The upstreams, beginning with the one whose turn it is."""
        first = next(self._turn)
        return [*self._upstreams[first:], *self._upstreams[:first]]


class Connection:
    """A client's socket, the upstream's socket, and a link in each direction."""

    def __init__(self, proxy: Proxy, number: int) -> None:
        self._proxy, self.number = proxy, number
        loop = asyncio.get_running_loop()
        self.links: dict[Stream, Link] = {stream: Link(self, loop) for stream in STREAMS}
        self.client = _Side(self, self.links["upstream"], self.links["downstream"])
        self.server = _Side(self, self.links["downstream"], self.links["upstream"])
        self._dialling: asyncio.Task[None] | None = None
        self._loop, self._began = loop, loop.time()

    @property
    def age(self) -> float:
        """Seconds since it was accepted."""
        return self._loop.time() - self._began

    @property
    def toxics(self) -> list[Toxic]:
        """The faults it has, upstream first, then in the order of the chain."""
        return [toxic for link in self.links.values() for toxic in link.toxics]

    def begin(self) -> None:
        """The client is here: reach an upstream before its bytes are read."""
        self._proxy.joined(self)
        if self._proxy.down:  # it was accepted just before nobody listened
            self.close()
            return
        for toxic in self._proxy.toxics:
            if toxic.kind.at_door and self._proxy.struck(toxic, self.number) is not None:
                toxic.hit(self.number)
                self.reset()
                return
            self.strike(toxic)
        self.links["upstream"].read_or_wait()
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    def strike(self, toxic: Toxic) -> None:
        """Put a toxic into its link, if its toxicity takes this connection."""
        if toxic.kind.whole_proxy or toxic.kind.at_door:
            return
        stream = self._proxy.struck(toxic, self.number)
        if stream is not None:
            self.links[toxic.stream].add(toxic, stream)

    def spare(self, toxic: Toxic) -> None:
        """Take a toxic out."""
        self.links[toxic.stream].remove(toxic)

    def update(self, toxic: Toxic) -> None:
        """A toxic has changed: its toxicity may now take this connection, or spare it."""
        taken = self._proxy.struck(toxic, self.number) is not None
        if not taken:
            self.spare(toxic)
        elif not self.links[toxic.stream].update(toxic):
            self.strike(toxic)

    def close(self) -> None:
        """Close both sockets and forget the connection."""
        self._end(lambda transport: transport.abort())

    def reset(self) -> None:
        """RST on both sockets."""

        def abort(transport: asyncio.Transport) -> None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            transport.abort()

        self._end(abort)

    def finished(self) -> None:
        """When both streams have ended, the sockets close, once they have sent what they hold."""
        if all(link.over for link in self.links.values()):
            self.hang_up()

    def hang_up(self) -> None:
        """Close both sockets, once they have sent what they hold."""
        for side in (self.client, self.server):
            if side.transport is not None:
                side.transport.close()

    def lost(self, side: _Side) -> None:
        """One socket has gone: the other gets what is under way, then its end."""
        side.feeds.ended()
        if all(s.transport is None or s.transport.is_closing() for s in (self.client, self.server)):
            self._forget()

    def _end(self, how: Any) -> None:
        for side in (self.client, self.server):
            if side.transport is not None and not side.transport.is_closing():
                how(side.transport)
        self._forget()

    def _forget(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
        for link in self.links.values():
            link.clear()
        self._proxy.left(self)

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        for address in self._proxy.candidates():
            try:
                await loop.create_connection(lambda: self.server, address.host, address.port)
            except OSError:
                continue
            break
        else:
            self.close()
            return
        self._dialling = None
        if self.client.transport is None or self.client.transport.is_closing():
            self.close()


class _Side(asyncio.Protocol):
    """One of the two sockets: what it receives goes into its link."""

    def __init__(self, connection: Connection, feeds: Link, drains: Link) -> None:
        self._connection, self.feeds, self._drains = connection, feeds, drains
        self.transport: asyncio.Transport | None = None
        self.data_received = feeds.feed  # type: ignore[method-assign]  # spares a call for every chunk

    @property
    def peer(self) -> str | None:
        """The address at its other end; None before it is connected and after it has gone."""
        peer = self.transport.get_extra_info("peername") if self.transport is not None else None
        return str(Address(*peer[:2])) if peer else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = self.feeds.source = cast(asyncio.Transport, transport)
        self._drains.joined(self.transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self is self._connection.client:
            self._connection.begin()

    def eof_received(self) -> bool:
        self.feeds.ended()
        return True  # the other direction stays open

    def pause_writing(self) -> None:
        self._drains.congested(True)

    def resume_writing(self) -> None:
        self._drains.congested(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost(self)
