"""curl, httpx and websockets get the same through a proxy that reads HTTP as without it."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from netra_sim.faults.control import FaultControl
from tests.service.proxying import connection, within
from tests.service.through import WAYS, Told, machine_program, run, serving, way

BIG = 1_500_000  # bytes of a body: more than a reader holds of a message
PIPELINE = (
    b"GET /text HTTP/1.1\r\nHost: x\r\n\r\n"
    b"HEAD /text HTTP/1.1\r\nHost: x\r\n\r\n"
    b"POST /hash HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /hash HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"
    b"GET /chunks HTTP/1.1\r\nHost: x\r\n\r\n"
    b"DELETE /empty HTTP/1.1\r\nHost: x\r\n\r\n"
    b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    b"GET /text HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
)


async def text(_request: Request) -> Response:
    return PlainTextResponse("ü" * 1000, headers={"x-many": "a, b", "set-cookie": "a=b"})


async def big(_request: Request) -> Response:
    return Response(b"x" * BIG)


async def digest(request: Request) -> Response:
    return PlainTextResponse(f"{request.method} {hashlib.sha256(await request.body()).hexdigest()}")


async def empty(_request: Request) -> Response:
    return Response(status_code=204)


async def chunks(_request: Request) -> Response:
    async def all_() -> AsyncIterator[bytes]:
        for n in range(300):
            yield b"%d\r\n" % n * (n % 7)

    return StreamingResponse(all_())


async def events(_request: Request) -> Response:
    async def all_() -> AsyncIterator[str]:
        for n in range(300):
            yield f": a comment\r\n\r\nid: {n}\nevent: tick\ndata: {n}\ndata: ü\n\n"

    return StreamingResponse(all_(), media_type="text/event-stream")


async def broken(_request: Request) -> Response:
    async def all_() -> AsyncIterator[bytes]:
        yield b"some"
        raise RuntimeError("it breaks off")

    return StreamingResponse(all_())


async def moved(_request: Request) -> Response:
    return RedirectResponse("/text")


async def repeat(socket: WebSocket) -> None:
    await socket.accept(subprotocol="one")
    try:
        while True:
            told = await socket.receive()
            if told.get("text") == "bye":
                await socket.close(4001, "a reason")
                return
            await socket.send({**told, "type": "websocket.send"})
    except (WebSocketDisconnect, RuntimeError):
        return


ANY = ["GET", "POST", "PUT", "DELETE"]
ROUTES = [
    *(Route(f"/{one.__name__}", one) for one in (text, big, chunks, events, broken, moved)),
    Route("/hash", digest, methods=ANY), Route("/empty", empty, methods=ANY), WebSocketRoute("/socket", repeat),
]  # fmt: skip


@pytest.fixture(params=WAYS)
async def ports(request: pytest.FixtureRequest, control: FaultControl) -> AsyncIterator[tuple[int, int]]:
    """Of the server, and of the proxy before it."""
    opaque = request.node.get_closest_marker("opaque") is not None
    config = uvicorn.Config(Starlette(routes=ROUTES), lifespan="off", log_level="critical", date_header=False)
    async with serving(config) as direct, way(control, "http", direct, request.param, opaque=opaque) as through:
        yield direct, through


async def curl(port: int, words: tuple[str, ...], *, stdin: bytes = b"") -> Told:
    """What curl told of the addresses among its words, which begin with a slash."""
    told = [f"http://127.0.0.1:{port}{word}" if word.startswith("/") else word for word in words]
    answer = await run(machine_program("curl", "curl"), "-q", "-sS", "-i", "--noproxy", "*", *told, stdin=stdin)
    return Told(answer.code, answer.out.replace(str(port), "#"), answer.err.replace(str(port), "#"))


CURL = [
    ("/text",), ("-I", "/text"), ("/big",), ("/chunks",), ("/events",), ("/empty",), ("/nowhere",), ("/broken",),
    ("-L", "/moved"), ("--http1.0", "/text"), ("--http1.0", "/chunks"), ("--compressed", "/text"),
    ("/text", "/chunks", "/empty", "/events", "/text"), ("--raw", "/chunks"), ("--http2", "/text"),
    ("-d", "a=b", "/hash"), ("-d", "@-", "/hash"), ("-T", "-", "/hash"), ("-F", "file=@-", "/hash"),
    ("-T", "-", "-H", "Expect: 100-continue", "/hash"), ("-X", "DELETE", "/empty"), ("-r", "0-3", "/text"),
]  # fmt: skip


async def test_curl_gets_the_same(ports: tuple[int, int]) -> None:
    for words in CURL:
        direct, through = await asyncio.gather(*(curl(port, words, stdin=b"sent" * 400_000) for port in ports))
        if "file=@-" in words:  # the boundary of a form is made up
            direct, through = (Told(one.code, re.sub(r"POST \w+", "", one.out), one.err) for one in (direct, through))
        assert (words, through) == (words, direct)
        assert direct.out.startswith("HTTP/1.")


@pytest.mark.opaque
async def test_http_2_is_refused(ports: tuple[int, int]) -> None:
    """Which failure curl names, only its own timing says: it may be writing or reading when the server closes."""
    direct, through = [await curl(port, ("--http2-prior-knowledge", "/text")) for port in ports]
    assert {direct.code, through.code} <= {52, 55, 56}  # an empty reply, or a failure to send or to receive
    assert direct.out == through.out


async def test_a_pipeline_is_answered_byte_for_byte(ports: tuple[int, int]) -> None:
    told = []
    for port in ports:
        async with connection(port) as (reader, writer):
            writer.write(PIPELINE)
            told.append(await within(reader.read(-1)))
    assert told[0] == told[1]
    assert told[0].count(b"HTTP/1.1 ") == 8


async def test_httpx_sees_the_same(ports: tuple[int, int]) -> None:
    direct, through = [await by_httpx(port) for port in ports]
    assert through == direct
    assert "RemoteProtocolError" in direct


async def by_httpx(port: int) -> list[Any]:
    """Over one kept connection, then over several at once."""
    said: list[Any] = []

    async def parts() -> AsyncIterator[bytes]:
        for n in range(200):
            yield b"%d" % n * n

    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, limits=httpx.Limits(max_connections=1)) as client:
        for _ in range(3):
            said += [_all(await client.get(path)) for path in ("/text", "/chunks", "/big", "/empty", "/nowhere")]
            said += [_all(await client.post("/hash", content=parts())), _all(await client.head("/text"))]
        async with client.stream("GET", "/events") as stream:
            said += [line async for line in stream.aiter_lines()]
        try:
            await client.get("/broken")
        except httpx.HTTPError as error:
            said.append(type(error).__name__)
        said.append(_all(await client.put("/hash", content=b"y" * BIG)))
    async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
        said += [_all(one) for one in await asyncio.gather(*(client.get("/text") for _ in range(20)))]
    return said


def _all(response: httpx.Response) -> tuple[Any, ...]:
    return response.status_code, response.headers.multi_items(), response.content


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_websockets_sees_the_same(ports: tuple[int, int], compression: str | None) -> None:
    direct, through = [await by_websockets(port, compression) for port in ports]
    assert through == direct
    assert direct[-1] == (4001, "a reason")


async def by_websockets(port: int, compression: str | None) -> list[Any]:
    said: list[Any] = []
    url = f"ws://127.0.0.1:{port}/socket"
    async with websockets.connect(
        url, subprotocols=[websockets.Subprotocol("one")], compression=compression, max_size=None, proxy=None
    ) as client:
        assert client.response is not None
        wanted = ("upgrade", "sec-websocket-protocol", "sec-websocket-extensions")
        said.append([client.response.headers.get(name) for name in wanted])
        for sent in ("ü", b"\0\1", "", "x" * 70_000, b"b" * BIG, ["in ", "several ", "frames"]):
            await client.send(sent)
            said.append(await within(client.recv()))
        assert await within(await client.ping()) >= 0
        for n in range(500):
            await client.send(f"{n}")
        said += [await within(client.recv()) for _ in range(500)]
        await client.send("bye")
        await within(client.wait_closed())
        said.append((client.close_code, client.close_reason))
    return said
