"""The two sockets of a connection, and what stands between them."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any, cast

from netra_sim.faults.address import Address
from netra_sim.faults.kinds.message import MessageKind
from netra_sim.faults.link import Link
from netra_sim.faults.screened import ScreenedLink
from netra_sim.faults.screens import CONVERSATIONS, Stage
from netra_sim.faults.toxic import Toxic
from netra_sim.faults.wire.base import STREAMS, Stream

if TYPE_CHECKING:
    from netra_sim.faults.proxy import Proxy

LINGER = struct.pack("ii", 1, 0)  # close with RST (SO_LINGER, seconds 0)


class Connection:
    """A client's socket, the upstream's socket, and a link in each direction."""

    def __init__(self, proxy: Proxy, number: int) -> None:
        self._proxy, self.number = proxy, number
        loop = asyncio.get_running_loop()
        self.stage: Stage | None = None
        self.links: dict[Stream, Link] = self._understood(loop) if proxy.protocol else _links(self, loop)
        self.client = _Side(self, self.links["upstream"], self.links["downstream"])
        self.server = _Side(self, self.links["downstream"], self.links["upstream"])
        self._dialling: asyncio.Task[None] | None = None
        self._loop, self._began = loop, loop.time()

    @property
    def age(self) -> float:
        """Seconds since it was accepted."""
        return self._loop.time() - self._began

    @property
    def opaque(self) -> str:
        """Why one of its ends is not understood any more, such as TLS; empty while both are."""
        return (self.stage.client.opaque or self.stage.server.opaque) if self.stage is not None else ""

    @property
    def toxics(self) -> list[Toxic]:
        """The faults it has, upstream first; in a direction those on messages, then those of the chain, in order."""
        named = self.stage.toxics if self.stage is not None else []
        return [
            toxic
            for stream, link in self.links.items()
            for toxic in (*(one for one in named if one.stream == stream), *link.toxics)
        ]

    def _understood(self, loop: asyncio.AbstractEventLoop) -> dict[Stream, Link]:
        links = {stream: ScreenedLink(self, loop, stream) for stream in STREAMS}
        self.stage = Stage(CONVERSATIONS[self._proxy.protocol](), links, self, self.number, loop)
        self.stage.recording = lambda: self._proxy.recording
        for link in links.values():
            link.stage = self.stage
        return dict(links)

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
        if stream is not None and (target := self._target(toxic)):
            target.add(toxic, stream)

    def _target(self, toxic: Toxic) -> Stage | Link | None:
        """What a toxic is set on: messages of the connection, or bytes of one direction."""
        return self.stage if isinstance(toxic.kind, MessageKind) else self.links[toxic.stream]

    def spare(self, toxic: Toxic) -> None:
        """Take a toxic out."""
        if target := self._target(toxic):
            target.remove(toxic)

    def update(self, toxic: Toxic) -> None:
        """A toxic has changed: its toxicity may now take this connection, or spare it."""
        taken = self._proxy.struck(toxic, self.number) is not None
        if not taken:
            self.spare(toxic)
        elif (target := self._target(toxic)) and not target.update(toxic):
            self.strike(toxic)

    def close(self) -> None:
        """Close both sockets and forget the connection."""
        self._end(lambda transport: transport.abort())

    def reset(self) -> None:
        """RST on both sockets."""

        def abort(transport: asyncio.Transport) -> None:
            _linger(transport)
            transport.abort()

        self._end(abort)

    def cut(self) -> None:
        """RST on both sockets, once they have sent what they hold."""
        for side in (self.client, self.server):
            if side.transport is not None and not side.transport.is_closing():
                _linger(side.transport)
        self.hang_up()

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


def _links(connection: Connection, loop: asyncio.AbstractEventLoop) -> dict[Stream, Link]:
    return {stream: Link(connection, loop) for stream in STREAMS}


def _linger(transport: asyncio.Transport) -> None:
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)


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
