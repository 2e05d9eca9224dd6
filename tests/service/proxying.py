"""A fault proxy process, upstreams and clients for the proxy's tests: real sockets, bounded waits, no sleeps."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Self, TypeVar

from netra_sim.faults.control import FaultControl

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENCE = 10.0  # seconds after which a wait counts as a hang


async def within(work: Awaitable[T], seconds: float = PATIENCE) -> T:
    return await asyncio.wait_for(work, seconds)


class ProxyProcess:
    """A running `netra_sim.faults.serve`."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port
        self.url = f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def proxy_process(seed: int = 1) -> Iterator[ProxyProcess]:
    command = [sys.executable, "-m", "netra_sim.faults.serve", "--port", "0", "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            assert ready["ready"] is True
            yield ProxyProcess(process, ready["port"])
        finally:
            process.kill()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():  # not with TLS
        writer.write_eof()


class Upstream:
    """A TCP server; `came` holds every connection it accepted, as its streams."""

    def __init__(self, handler: Handler = echo, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._handler, self._port, self._tls = handler, port, tls
        self.came: asyncio.Queue[Streams] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await within(self._server.wait_closed())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.came.put_nowait((reader, writer))
        with contextlib.suppress(ConnectionError):  # a fault under test has cut it
            await self._handler(reader, writer)

    @property
    def address(self) -> str:
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"


async def idle(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """For a test that speaks the upstream's part itself, through `came`."""


@contextlib.asynccontextmanager
async def connection(port: int, **tls: Any) -> AsyncIterator[Streams]:
    reader, writer = await within(asyncio.open_connection("127.0.0.1", port, **tls))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def said(streams: Streams, words: bytes) -> bytes:
    """What an echo answers to the words."""
    reader, writer = streams
    writer.write(words)
    return await within(reader.readexactly(len(words)))


async def cut(reader: asyncio.StreamReader) -> bool:
    """Wait for the end of the connection; whether it was a reset."""
    try:
        assert await within(reader.read()) == b""
    except ConnectionResetError:
        return True
    return False


def send_reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def toxic_until(
    control: FaultControl, proxy: str, name: str, right: Callable[[dict[str, Any] | None], bool]
) -> None:
    """Ask for a toxic until it is as wanted; a round trip to the proxy is the pace."""

    async def ask() -> None:
        while not right(await control.toxic(proxy, name)):
            pass

    await within(ask())
