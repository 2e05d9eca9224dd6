"""Faults on messages between httpx and a real uvicorn, by way of a real proxy process."""

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
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from netra_sim.faults.control import FaultControl
from tests.service.proxying import within
from tests.service.striking import hits, strike, struck


class Server:
    """Keeps what is posted; `/events` streams five events."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.came = asyncio.Event()

    async def post(self, request: Request) -> Response:
        self.kept.append((await request.body()).decode())
        self.came.set()
        return JSONResponse({"kept": self.kept})

    async def events(self, _request: Request) -> Response:
        async def all_() -> AsyncIterator[str]:
            for n in range(5):
                yield f"data: {n}\n\n"

        return StreamingResponse(all_(), media_type="text/event-stream")


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, int]]:
    app = Server()
    routes = [Route("/keep", app.post, methods=["POST"]), Route("/events", app.events)]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(Starlette(routes=routes), lifespan="off", log_level="warning")
        running = uvicorn.Server(config)
        serving = asyncio.ensure_future(running.serve(sockets=[listener]))
        yield app, listener.getsockname()[1]
        running.should_exit = True
        await within(serving)


@pytest.fixture
async def client(control: FaultControl, server: tuple[Server, int]) -> AsyncIterator[httpx.AsyncClient]:
    port = await control.create_proxy("edge", f"127.0.0.1:{server[1]}", protocol="http")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield client


POSTED = {"type": "body", "text": "^POST /keep", "value": "two"}
TOLD = {"type": ["response", "body"], "text": "^POST /keep", "nth": 3}  # each answer is a head and a body


@pytest.mark.parametrize(
    ("kind", "match", "attributes", "there"),
    [
        ("cut", POSTED, {"when": "before"}, False),
        ("cut", POSTED, {"when": "middle"}, False),
        ("cut", POSTED, {"when": "after"}, True),
        ("cut", TOLD, {"stream": "downstream", "when": "before"}, True),
        ("truncate_message", POSTED, {"stream": "upstream", "bytes": 1}, False),
        ("truncate_message", TOLD, {"bytes": 20}, True),
        ("http_body", {"type": "response", "path": "/keep", "nth": 2}, {"how": "truncate"}, True),
    ],
)
async def test_a_post_is_broken_off_in_both_halves(
    control: FaultControl, server: tuple[Server, int], client: httpx.AsyncClient,
    kind: str, match: dict[str, Any], attributes: dict[str, Any], there: bool,
) -> None:  # fmt: skip
    await strike(control, kind, match, **attributes)
    assert (await client.post("/keep", content="one")).status_code == 200
    server[0].came.clear()
    with pytest.raises(httpx.TransportError):
        await client.post("/keep", content="two")
    if there:
        await within(server[0].came.wait())
    assert [(hit["hits"], hit["last"]) for hit in await control.hits("edge", "it")] == [(1, "POST /keep")]
    await control.remove_toxic("edge", "it")
    assert (await client.post("/keep", content="end")).status_code == 200
    assert server[0].kept == ["one", *(["two"] if there else []), "end"]


@pytest.mark.parametrize(
    ("kind", "stream", "hit"),
    [("drop_message", "upstream", 1), ("drop_message", "downstream", 2), ("stall", "upstream", 1),
     ("stall", "downstream", 1)],
)  # fmt: skip
async def test_a_post_waits_for_its_answer_in_both_halves(
    control: FaultControl, server: tuple[Server, int], client: httpx.AsyncClient, kind: str, stream: str, hit: int
) -> None:
    match = POSTED if stream == "upstream" else {"type": ["response", "body"], "text": "^POST /keep"}
    await strike(control, kind, match, stream=stream)
    asked = asyncio.ensure_future(client.post("/keep", content="two"))
    await struck(control, hit)
    assert server[0].kept == ([] if stream == "upstream" else ["two"])
    assert not asked.done()
    await control.remove_toxic("edge", "it")
    if kind == "stall":
        assert (await within(asked)).json() == {"kept": ["two"]}
    else:
        asked.cancel()


async def test_an_answer_is_found_by_its_status(control: FaultControl, client: httpx.AsyncClient) -> None:
    await strike(control, "http_body", {"status": "4*"}, how="malformed")
    assert (await client.post("/keep", content="one")).json() == {"kept": ["one"]}
    assert (await client.get("/nowhere")).text != "Not Found"
    assert (await client.post("/keep", content="two")).json() == {"kept": ["one", "two"]}
    assert await hits(control) == 1


async def test_an_error_is_told_and_the_request_never_comes(
    control: FaultControl, server: tuple[Server, int], client: httpx.AsyncClient
) -> None:
    match = {"path": "/keep", "nth": 2}
    await strike(control, "http_error", match, status=429, retry_after=7, body="slow down", headers={"X-Why": "fault"})
    answers = [await client.post("/keep", content=str(n)) for n in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 200]
    told = answers[1]
    assert (told.text, told.headers["retry-after"], told.headers["x-why"]) == ("slow down", "7", "fault")
    assert server[0].kept == ["0", "2"]
    assert await hits(control) == 1
    assert [(hit["hits"], hit["last"]) for hit in await control.hits("edge", "it")] == [(1, "POST /keep")]


@pytest.mark.parametrize(
    ("kind", "heard"), [("drop_message", [0, 1, 3, 4]), ("duplicate_message", [0, 1, 2, 2, 3, 4]),
                        ("reorder_message", [0, 1, 3, 2, 4])],
)  # fmt: skip
async def test_one_event_of_a_stream_is_struck(
    control: FaultControl, client: httpx.AsyncClient, kind: str, heard: list[int]
) -> None:
    attributes = {"match": {"type": "event", "nth": 3}}
    await control.add_toxic("edge", {"name": "it", "type": kind, "stream": "downstream", "attributes": attributes})
    answer = await client.get("/events")
    assert answer.text == "".join(f"data: {n}\n\n" for n in heard)
    assert await hits(control) == 1


async def test_a_body_is_malformed_or_breaks_off(control: FaultControl, client: httpx.AsyncClient) -> None:
    await strike(control, "http_body", {"path": "/keep"}, how="malformed")
    answer = await client.post("/keep", content="one")
    assert b"kept" not in answer.content
    assert len(answer.content) == int(answer.headers["content-length"]) == len(b'{"kept":["one"]}')
    await control.remove_toxic("edge", "it")
    await strike(control, "http_body", {"path": "/keep"}, how="truncate")
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post("/keep", content="two")
    assert await hits(control) == 1


async def test_a_body_that_trickles_is_whole(control: FaultControl, client: httpx.AsyncClient) -> None:
    await strike(control, "http_body", {"path": "/keep"}, how="slow", delay=5)
    began = time.monotonic()
    assert (await client.post("/keep", content="one")).json() == {"kept": ["one"]}
    assert time.monotonic() - began >= 0.04, "in ten pieces or nearly, each 5 ms after the one before"
    assert await hits(control) == 1
    with contextlib.suppress(httpx.HTTPError):
        await client.aclose()
