"""The wires of the lower bound, each as one bare asyncio protocol: WebSocket server, Redis client, HTTP client."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import hiredis
import httptools

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_TEXT, _CLOSE = 0x81, 0x88
Command = tuple[Any, ...]


class WebSocket(asyncio.Protocol):
    """The server's side of one connection (RFC 6455): whole text frames in and out, nothing else."""

    def __init__(
        self, opened: Callable[[WebSocket, str], None], said: Callable[[WebSocket, bytes], None],
        closed: Callable[[WebSocket], None],
    ) -> None:  # fmt: skip
        self._opened, self._said, self._closed = opened, said, closed
        self._heard, self._open = bytearray(), False
        self.resumed = asyncio.Event()
        self.user, self.position = "", -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._closed(self)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if not self._open:
            head, end, rest = bytes(self._heard).partition(b"\r\n\r\n")
            if not end:
                return
            self._heard[:], self._open = rest, True
            self._accept(head)
        while (frame := self._frame()) is not None:
            self._said(self, frame)

    def offer(self, seq: int, frame: bytes) -> None:
        """A frame of the stream: the next one goes out, one that went out already is dropped."""
        if seq == self.position + 1:
            self.position = seq
            self.send(frame)

    def send(self, frame: bytes) -> None:
        """One text frame."""
        size = len(frame)
        if size < 126:
            head = bytes((_TEXT, size))
        else:
            head = bytes((_TEXT, 126)) + size.to_bytes(2) if size < 65536 else bytes((_TEXT, 127)) + size.to_bytes(8)
        self._transport.write(head + frame)

    def _accept(self, head: bytes) -> None:
        lines = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
        headers = {name.lower(): value for name, value in lines}
        key = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + _GUID).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + key + b"\r\n\r\n"
        )
        self._opened(self, headers[b"authorization"].decode().removeprefix("Bearer "))

    def _frame(self) -> bytes | None:
        """The next whole frame's text, unmasked; None when there is none, or at a close."""
        heard = self._heard
        if len(heard) < 6:
            return None
        size, at = heard[1] & 0x7F, 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            size, at = int.from_bytes(heard[2 : 2 + wide]), 2 + wide
        if len(heard) < at + 4 + size:
            return None
        mask, text, kind = bytes(heard[at : at + 4]), heard[at + 4 : at + 4 + size], heard[0]
        del heard[: at + 4 + size]
        if kind == _CLOSE:
            self._transport.close()
            return None
        key = (mask * (size // 4 + 1))[:size]
        return (int.from_bytes(text) ^ int.from_bytes(key)).to_bytes(size)


class Redis(asyncio.Protocol):
    """One connection; commands of all callers go out as they come, answers are told apart by their order."""

    def __init__(self, told: Callable[[list[bytes]], None] | None = None) -> None:
        self._reader, self._told = hiredis.Reader(), told
        self._waiting: deque[tuple[asyncio.Future[list[Any]], list[Any], int]] = deque()

    @classmethod
    async def open(cls, url: str, told: Callable[[list[bytes]], None] | None = None) -> Redis:
        """A connection to the server of a URL; `told` takes what is published to it."""
        at = urlsplit(url)
        _, one = await asyncio.get_running_loop().create_connection(
            lambda: cls(told), at.hostname or "", at.port or 6379
        )
        return one

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def ask(self, *commands: Command) -> asyncio.Future[list[Any]]:
        """The answers of a pipeline."""
        self._transport.write(b"".join(map(hiredis.pack_command, commands)))
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((answer, [], len(commands)))
        return answer

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if self._waiting:
                answer, replies, wanted = self._waiting[0]
                replies.append(reply)
                if len(replies) == wanted:
                    self._waiting.popleft()
                    answer.set_result(replies)
            elif self._told is not None:
                self._told(reply)


class Http(asyncio.Protocol):
    """One keep-alive connection: a request, then the whole body of its answer."""

    def __init__(self) -> None:
        self._idle: list[Http] = []

    @classmethod
    async def open(cls, url: str, idle: list[Http]) -> Http:
        """A connection that comes back to `idle` after each answer."""
        at = urlsplit(url)
        _, one = await asyncio.get_running_loop().create_connection(cls, at.hostname or "", at.port or 80)
        one._idle = idle
        return one

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def ask(self, head: bytes, body: bytes) -> asyncio.Future[bytes]:
        """The answer's body; RuntimeError when its status is not 200."""
        self._parser, self._body = httptools.HttpResponseParser(self), bytearray()
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._transport.write(b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body))
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._body += data

    def on_message_complete(self) -> None:
        """The answer has ended."""
        self._idle.append(self)
        if (status := self._parser.get_status_code()) == 200:
            self._answer.set_result(bytes(self._body))
        else:
            self._answer.set_exception(RuntimeError(f"{status}: {self._body.decode()[:200]}"))
