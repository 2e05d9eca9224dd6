"""Faults on WebSocket frames and on bodies, between real clients and a real uvicorn, by way of a real proxy process."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from netra_sim.faults.control import FaultControl
from tests.service.proxying import connection, within
from tests.service.striking import hits, strike

WORDS = "an answer of thirty-two letters."


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(await socket.receive_text())


async def words(request: Request) -> Response:
    return PlainTextResponse(f"{request.path_params['n']} {WORDS}")


@pytest.fixture
async def port(control: FaultControl) -> AsyncIterator[int]:
    """A proxy in front of the server."""
    app = Starlette(routes=[WebSocketRoute("/ws", echo), Route("/words/{n}", words)])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="critical", timeout_graceful_shutdown=1))
        serving = asyncio.ensure_future(running.serve(sockets=[listener]))
        yield await control.create_proxy("edge", f"127.0.0.1:{listener.getsockname()[1]}", protocol="http")
        running.should_exit = True
        await within(serving)


@pytest.fixture
async def ws(port: int) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{port}/ws", compression=None, proxy=None, close_timeout=0.1) as client:
        yield client


async def said(ws: ClientConnection, text: str) -> Any:
    await ws.send(text)
    return await within(ws.recv())


async def test_a_websocket_is_closed_with_a_code_in_place_of_a_frame(control: FaultControl, ws: ClientConnection):
    await strike(control, "ws_close", {"type": "text", "text": "^two$"}, code=1013, reason="try later")
    assert await said(ws, "one") == "one"
    with pytest.raises(ConnectionClosed):
        await said(ws, "two")
    assert (ws.close_code, ws.close_reason) == (1013, "try later")
    assert await hits(control) == 1


async def test_a_frame_is_late_and_what_follows_waits_behind_it(control: FaultControl, ws: ClientConnection):
    await strike(control, "delay_message", {"type": "text", "text": "two"}, delay=150, stream="downstream")
    began = time.monotonic()
    for text in ("one", "two", "three"):
        await ws.send(text)
    assert await within(ws.recv()) == "one"
    assert [await within(ws.recv()) for _ in range(2)] == ["two", "three"]
    assert time.monotonic() - began >= 0.15
    assert await hits(control) == 1


async def test_a_frame_breaks_off_and_its_connection_ends(control: FaultControl, ws: ClientConnection):
    await strike(control, "truncate_message", {"type": "text", "text": "two"}, bytes=3)
    assert await said(ws, "one") == "one"
    with pytest.raises(ConnectionClosed):
        await said(ws, "two")
    assert ws.close_code == 1006
    assert await hits(control) == 1


async def test_a_frame_has_another_text_of_the_same_length(control: FaultControl, ws: ClientConnection):
    await strike(control, "corrupt_message", {"type": "text", "text": WORDS}, every=8)
    told = await said(ws, WORDS)
    assert [len(told), sum(a != b for a, b in zip(told, WORDS, strict=True))] == [32, 4]
    assert await said(ws, "as it was") == "as it was"
    assert await hits(control) == 1


@pytest.mark.parametrize(("how", "error"), [("close", type(None)), ("reset", ConnectionResetError)])
@pytest.mark.parametrize(("when", "heard"), [("before", b""), ("after", b"\x81\x03two")])
async def test_a_frame_is_cut_by_a_close_or_a_reset(
    control: FaultControl, port: int, how: str, error: type, when: str, heard: bytes
) -> None:
    await strike(control, "cut", {"type": "text", "text": "two"}, when=when, how=how, stream="downstream")
    async with connection(port) as (reader, writer):
        writer.write(
            b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await within(reader.readuntil(b"\r\n\r\n"))
        writer.write(b"\x81\x83\0\0\0\0two")
        got, ended = b"", None
        try:
            while data := await within(reader.read(64)):
                got += data
        except ConnectionResetError as reset:
            ended = reset
    assert type(ended) is error
    if how == "close":
        assert got == heard
    assert await hits(control) == 1


async def test_a_body_has_other_bytes_of_the_same_length(control: FaultControl, port: int):
    await strike(control, "corrupt_message", {"type": "body", "path": "/words/2"})
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert (await client.get("/words/1")).text == f"1 {WORDS}"
        told = (await client.get("/words/2")).text
        assert [len(told), sum(a == b for a, b in zip(told, f"2 {WORDS}", strict=True))] == [34, 0]
    assert await hits(control) == 1


async def test_a_body_breaks_off_and_its_connection_ends(control: FaultControl, port: int):
    await strike(control, "truncate_message", {"type": "body", "path": "/words/2"}, bytes=9)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="received 9 bytes, expected 34"):
            await client.get("/words/2")
        assert (await client.get("/words/1")).text == f"1 {WORDS}"
    assert await hits(control) == 1


async def test_an_error_keeps_its_place_among_pipelined_requests(control: FaultControl, port: int):
    await strike(control, "http_error", {"path": "/words/[24]"}, status=503, body="no")
    async with connection(port) as (reader, writer):
        asked = [f"GET /words/{n} HTTP/1.1\r\nhost: x\r\n\r\n" for n in range(1, 6)]
        writer.write("".join(asked).encode())
        told = [await _answer(reader) for _ in asked]
    assert told == [(200, f"1 {WORDS}"), (503, "no"), (200, f"3 {WORDS}"), (503, "no"), (200, f"5 {WORDS}")]
    assert await hits(control) == 2


async def _answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    head = (await within(reader.readuntil(b"\r\n\r\n"))).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r")[0])
    return int(head.split()[1]), (await within(reader.readexactly(length))).decode()
