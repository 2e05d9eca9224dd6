"""What is told of a real server's HTTP, events and WebSocket, on its way through a relay that changes nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect

from netra_sim.faults.wire.base import Message, Stream
from netra_sim.faults.wire.http import Http
from netra_sim.faults.wire.http_body import chunk_payloads
from tests.service.proxying import within


async def answer(request: Request) -> Response:
    return JSONResponse({"got": len(await request.body())}, status_code=201)


async def chunked(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"two" * 10_000, b"three"):
            yield piece

    return StreamingResponse(pieces(), media_type="text/plain")


async def events(request: Request) -> Response:
    async def tokens() -> AsyncIterator[str]:
        yield ": ping\n\n"
        for number in range(20):
            yield f"id: {number}\ndata: token {number}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(tokens(), media_type="text/event-stream")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while (text := await socket.receive_text()) != "bye":
            await socket.send_text(text.upper())
        await socket.send_bytes(b"\x00" * 100_000)
        await socket.close(4000, "as asked")


APP = Starlette(
    routes=[
        Route("/json", answer, methods=["POST"]),
        Route("/chunked", chunked),
        Route("/events", events),
        WebSocketRoute("/ws", echo),
    ]
)


@dataclass
class Heard:
    """A connection through the relay: all bytes, and what was told of them."""

    conversation: Http = field(default_factory=Http)
    messages: dict[Stream, list[Message]] = field(default_factory=lambda: {"upstream": [], "downstream": []})
    fed: dict[Stream, bytes] = field(default_factory=lambda: {"upstream": b"", "downstream": b""})

    async def pump(self, stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                self.fed[stream] += data
                self.messages[stream] += self.conversation.feed(stream, data)
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    def told(self, stream: Stream) -> list[Message]:
        """The messages of a direction, of which every byte is conserved and none is left."""
        assert self.conversation.opaque == ""
        assert b"".join(m.raw for m in self.messages[stream]) == self.fed[stream]
        return self.messages[stream]


@dataclass
class Relay:
    """A listener in front of the server."""

    port: int
    heard: list[Heard]


async def relayed(
    upstream: int, heard: list[Heard], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    one = Heard()
    heard.append(one)
    server_reader, server_writer = await asyncio.open_connection("127.0.0.1", upstream)
    try:
        await asyncio.gather(one.pump("upstream", reader, server_writer), one.pump("downstream", server_reader, writer))
    finally:
        server_writer.close()
        writer.close()


class Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    async def startup(self, sockets: list | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@pytest.fixture(params=["httptools", "h11"])
async def relay(request: pytest.FixtureRequest) -> AsyncIterator[Relay]:
    config = uvicorn.Config(APP, port=0, http=request.param, ws="websockets-sansio", log_level="error", lifespan="off")
    server = Server(config)
    serving = asyncio.create_task(server._serve())
    await within(server.listens.wait())
    heard: list[Heard] = []
    upstream = server.servers[0].sockets[0].getsockname()[1]
    listener = await asyncio.start_server(lambda r, w: relayed(upstream, heard, r, w), "127.0.0.1", 0)
    yield Relay(listener.sockets[0].getsockname()[1], heard)
    listener.close()
    server.should_exit = True
    await within(serving)
    await within(listener.wait_closed())


def summary(messages: list[Message], fact: Callable[[Message], object] = lambda m: m.last) -> list[tuple[str, object]]:
    return [(m.type, fact(m)) for m in messages]


async def test_a_kept_alive_connection(relay: Relay) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{relay.port}") as client:
        assert (await within(client.post("/json?a=1", content=b"x" * 200_000))).json() == {"got": 200_000}
        assert len((await within(client.get("/chunked"))).content) == 30_008
        assert (await within(client.post("/json"))).json() == {"got": 0}
    (heard,) = relay.heard
    requests = [m for m in heard.told("upstream") if m.type == "request"]
    assert [m.text for m in requests] == ["POST /json?a=1", "GET /chunked", "POST /json"]
    assert sum(len(m.raw) for m in heard.told("upstream") if m.type == "body") == 200_000
    assert [m.exchange for m in heard.told("upstream") if m.last] == [1, 2, 3]
    answers = heard.told("downstream")
    assert [(m.exchange, m.facts["status"]) for m in answers if m.type == "response"] == [(1, 201), (2, 200), (3, 201)]
    assert [m.exchange for m in answers if m.last] == [1, 2, 3]
    pieces = [m.raw[place] for m in answers if m.exchange == 2 and m.type == "body" for place in chunk_payloads(m.raw)]
    assert pieces == [b"one", b"two" * 10_000, b"three"]


async def test_events_are_told_one_by_one(relay: Relay) -> None:
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{relay.port}") as client,
        client.stream("GET", "/events") as response,
    ):
        seen = [line async for line in response.aiter_lines() if line.startswith("data")]
    messages = relay.heard[0].told("downstream")
    assert summary(messages[:2]) + summary(messages[-1:]) == [("response", False), ("comment", False), ("end", True)]
    told = [m for m in messages if m.type == "event"]
    assert [f"data: {m.facts['data']}" for m in told] == seen
    assert [m.facts["id"] for m in told] == [*map(str, range(20)), ""]
    assert all(len(m.facts["events"]) == 1 and m.text == "GET /events" for m in told)


async def test_a_websocket(relay: Relay) -> None:
    async with connect(f"ws://127.0.0.1:{relay.port}/ws?token=t", compression=None) as socket:
        await within(socket.send("h\u00e4llo"))
        assert await within(socket.recv()) == "H\u00c4LLO"
        await within(socket.send(["frag", "mented"]))
        assert await within(socket.recv()) == "FRAGMENTED"
        await within(await socket.ping())
        await within(socket.send("bye"))
        assert len(await within(socket.recv())) == 100_000
        await within(socket.wait_closed())
    (heard,) = relay.heard
    up, down = heard.told("upstream"), heard.told("downstream")
    assert [(m.type, m.text) for m in up if m.facts.get("length") or m.type == "request"] == [
        ("request", "GET /ws?token=t"),
        ("text", "h\u00e4llo"),
        ("text", "frag"),
        ("continuation", "mented"),
        ("ping", ""),
        ("text", "bye"),
        ("close", ""),
    ]
    assert summary(down, lambda m: m.text or m.facts.get("length")) == [
        ("response", "GET /ws?token=t"),
        ("text", "H\u00c4LLO"),
        ("text", "FRAGMENTED"),
        ("pong", 4),
        ("binary", 100_000),
        ("close", 10),
    ]
    assert (down[-1].facts["code"], down[-1].facts["reason"]) == (4000, "as asked")
    assert down[0].last is True


async def test_a_compressed_websocket_is_told_without_text(relay: Relay) -> None:
    async with connect(f"ws://127.0.0.1:{relay.port}/ws", compression="deflate") as socket:
        await within(socket.send("hello " * 100))
        await within(socket.recv())
    (heard,) = relay.heard
    (sent,) = [m for m in heard.told("upstream") if m.type == "text"]
    assert (sent.facts["compressed"], sent.text) == (True, "")
