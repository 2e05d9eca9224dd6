"""Real workers without Redis, a Redis that refuses writes, and who watches: what is told, and to whom."""

import asyncio

import pytest
import redis.asyncio
import redis.exceptions

from netra_sim.kernel.history import HistoryWriter
from netra_sim.users.observer import observe
from tests.service.visitor import Deployment, Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_without_redis_events_reach_a_socket_on_another_worker(deployment: Deployment, worker: Worker):
    other = await deployment.worker()
    user = await worker.sign_up()
    async with worker.socket(user.access) as here, other.socket(user.access) as there:
        await deployment.lab.redis.kill()
        try:
            end = await here.chat()
            seen = await there.until("agent_completed", agent_name="supervisor")
        finally:
            await deployment.lab.redis.restart()
    assert seen["seq"] == end["seq"]
    assert there.seqs == list(range(1, end["seq"] + 1))


async def test_a_read_only_redis_and_one_out_of_memory_read_but_do_not_write(deployment: Deployment):
    server = deployment.lab.redis
    async with redis.asyncio.Redis.from_url(server.url) as client:
        await client.set(f"{deployment.prefix}kept", "1")
        await server.read_only()
        with pytest.raises(redis.exceptions.ReadOnlyError):
            await client.set(f"{deployment.prefix}kept", "2")
        assert [left["what"] for left in await server.altered()] == ["read-only server"]
        await server.restore()
        await server.out_of_memory()
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            await client.set(f"{deployment.prefix}kept", "2")
        assert [left["what"] for left in await server.altered()] == ["server without memory"]
        assert await client.get(f"{deployment.prefix}kept") == b"1"
        await server.restore()
        assert await client.set(f"{deployment.prefix}kept", "2")
    assert await server.altered() == []


async def test_a_chat_goes_on_while_redis_is_read_only(deployment: Deployment, worker: Worker):
    user = await worker.sign_up()
    await deployment.lab.redis.read_only()
    try:
        async with worker.socket(user.access) as client:
            end = await client.chat()
    finally:
        await deployment.lab.redis.restore()
    assert end["type"] == "agent_completed"
    assert client.seqs == list(range(1, len(client.seqs) + 1))


async def test_who_watches_sees_a_worker_and_that_one_is_gone(worker: Worker):
    history = HistoryWriter()
    urls = {"here": f"http://127.0.0.1:{worker.port}", "gone": "http://127.0.0.1:1"}
    watching = asyncio.create_task(observe(urls, history, 0.01))
    async with asyncio.timeout(10):
        # The history tells nobody of a new record.
        while len(history.freeze().seen("gauges")) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    watching.cancel()
    told = {r.value["worker"]: r.value for r in history.freeze().seen("gauges")}
    assert told.pop("gone")["answers"] is False
    (here,) = told.values()
    assert here["level"] in ("normal", "partial")
    assert set(here["breakers"]) >= {"postgres", "redis", "llm", "tool"}
    assert {"pool", "sockets", "runs"} <= here.keys()
    assert {"size", "used"} == here["pool"].keys()
