"""Faults on the frames of the real backend's WebSocket: what is lost, doubled or late there, and what is stored."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from netra_sim.faults.control import FaultControl
from tests.service.proxying import ProxyProcess, toxic_until, within
from tests.service.striking import hits, strike, struck
from tests.service.visitor import Client, Deployment, User, Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAID = {"type": "text", "text": '"chat_message"'}
ACCEPTED = {"type": "text", "text": '"message_accepted"'}
THIRD = {"type": "text", "text": r'"seq":3\b'}
UP, DOWN = {"stream": "upstream"}, {"stream": "downstream"}


@pytest_asyncio.fixture(loop_scope="session")
async def edge(process: ProxyProcess) -> AsyncIterator[FaultControl]:
    async with FaultControl(process.url) as client:
        yield client
        for name in await client.proxies():
            await client.delete_proxy(name)


@pytest_asyncio.fixture(loop_scope="session")
async def user(worker: Worker) -> User:
    return await worker.sign_up()


@pytest_asyncio.fixture(loop_scope="session")
async def client(edge: FaultControl, worker: Worker, user: User) -> AsyncIterator[Client]:
    """A socket of the user's by way of the proxy."""
    port = await edge.create_proxy("edge", f"127.0.0.1:{worker.port}", protocol="http")
    async with dataclasses.replace(worker, port=port).socket(user.access, compression=None) as opened:
        yield opened


async def stored(deployment: Deployment, user: User) -> list[str]:
    """The ids of the user's messages."""
    rows = await deployment.sql(
        "SELECT id FROM messages WHERE user_id = $1 AND role = 'user' ORDER BY created_at", user.user_id
    )
    return [str(row["id"]) for row in rows]


@pytest.mark.parametrize(
    ("kind", "seen"),
    [("drop_message", [1, 2, 4, 5, 6]), ("duplicate_message", [1, 2, 3, 3, 4]), ("reorder_message", [1, 2, 4, 3, 5])],
)
async def test_one_frame_of_the_stream_is_struck(
    edge: FaultControl, worker: Worker, user: User, client: Client, kind: str, seen: list[int]
) -> None:
    await strike(edge, kind, THIRD, **DOWN)
    await client.chat()
    assert client.seqs[:5] == seen
    assert sorted({*client.seqs, 3}) == list(range(1, client.seqs[-1] + 1)), "no other frame was touched"
    assert await hits(edge) == 1
    async with worker.socket(user.access, resume=2) as again:
        assert (await again.until("agent_completed", agent_name="supervisor"))["seq"] == client.seqs[-1]
    assert again.seqs == list(range(3, client.seqs[-1] + 1)), "it is there for who asks again"


@pytest.mark.parametrize(
    ("kind", "match", "attributes", "there"),
    [("drop_message", SAID, UP, False), ("drop_message", ACCEPTED, DOWN, True),
     ("stall", SAID, UP, False), ("stall", ACCEPTED, DOWN, True)],
)  # fmt: skip
async def test_a_message_is_said_into_a_half_open_socket(
    edge: FaultControl, deployment: Deployment, user: User, client: Client,
    kind: str, match: dict[str, Any], attributes: dict[str, Any], there: bool,
) -> None:  # fmt: skip
    await strike(edge, kind, match, **attributes)
    thread = str(uuid.uuid4())
    message = await client.say(thread_id=thread)
    await struck(edge)
    assert await stored(deployment, user) == ([message] if there else [])
    assert client.ws.close_code is None, "nothing was closed"
    await edge.remove_toxic("edge", "it")
    if kind == "drop_message":
        await client.say(message_id=message, thread_id=thread)
    told = await client.until("message_accepted")
    assert told["data"]["message_id"] == message
    assert told["data"]["duplicate"] is (there and kind == "drop_message")
    assert (await client.answer())["type"] == "agent_completed"
    assert await stored(deployment, user) == [message]


@pytest.mark.parametrize(
    ("kind", "match", "attributes", "there"),
    [
        ("cut", SAID, {**UP, "when": "before"}, False),
        ("cut", SAID, {**UP, "when": "middle"}, False),
        ("cut", SAID, {**UP, "when": "after"}, True),
        ("cut", ACCEPTED, {**DOWN, "when": "before"}, True),
        ("truncate_message", ACCEPTED, {"bytes": 5}, True),
        ("ws_close", ACCEPTED, {"code": 1011, "reason": "by the test"}, True),
    ],
)
async def test_a_message_is_said_into_a_socket_that_breaks(
    edge: FaultControl, deployment: Deployment, worker: Worker, user: User, client: Client,
    kind: str, match: dict[str, Any], attributes: dict[str, Any], there: bool,
) -> None:  # fmt: skip
    await strike(edge, kind, match, **attributes)
    thread = str(uuid.uuid4())
    message = await client.say(thread_id=thread)
    await within(client.ws.wait_closed())
    assert client.ws.close_code == (1011 if kind == "ws_close" else 1006)
    assert await hits(edge) == 1
    async with worker.socket(user.access) as again:
        if there:
            assert (await again.until("message_accepted"))["data"]["message_id"] == message
            await again.answer()
        assert await stored(deployment, user) == ([message] if there else [])
        await again.say(message_id=message, thread_id=thread)
        assert (await again.until("message_accepted", duplicate=there))["data"]["message_id"] == message
    assert await stored(deployment, user) == [message]


async def test_a_socket_is_half_open_both_ways_and_loses_nothing(
    edge: FaultControl, deployment: Deployment, user: User, client: Client
) -> None:
    await strike(edge, "stall", ACCEPTED, **DOWN)
    await edge.add_toxic("edge", {"name": "up", "type": "stall", **UP, "attributes": {"match": {**SAID, "nth": 2}}})
    heard = asyncio.ensure_future(client.next())
    first, second = await client.say(), await client.say("And the month before?")
    await struck(edge)
    await toxic_until(edge, "edge", "up", lambda toxic: toxic is not None and toxic["hits"] == 1)
    assert await stored(deployment, user) == [first]
    assert (heard.done(), client.ws.close_code) == (False, None)
    for name in ("it", "up"):
        await edge.remove_toxic("edge", name)
    await heard
    ends = [await client.answer(), await client.answer()]
    assert client.seqs == list(range(1, ends[-1]["seq"] + 1))
    assert await stored(deployment, user) == [first, second]
