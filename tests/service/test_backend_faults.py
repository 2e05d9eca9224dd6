"""The real worker while its stores are killed, stalled or cut off: what it promises then, and every close code."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests.service.visitor import Deployment, Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def stalled(service: Any) -> AsyncIterator[None]:
    """The service accepts connections and says nothing."""
    await service.pause()
    try:
        yield
    finally:
        await service.resume()


@asynccontextmanager
async def slow_model(deployment: Deployment, worker: Worker, seconds: float = 0.5) -> AsyncIterator[None]:
    """Triage waits, so that a run is under way for a while."""
    script = deployment.lab.llm_url.replace("/v1", "/script")
    async with worker.http() as http:
        await http.put(script, json=[{"match": {"agent": "triage"}, "do": {"delay_s": seconds}}])
        yield
        await http.put(script, json=[])


async def test_a_model_that_calls_a_tool_that_nobody_offered_is_asked_again(deployment: Deployment, worker: Worker):
    script = deployment.lab.llm_url.replace("/v1", "/script")
    user = await worker.sign_up()
    await deployment.workload(user.user_id, 15)
    async with worker.http() as http, worker.socket(user.access) as client:
        await http.put(script, json=[{"match": {"agent": "data", "nth": 1}, "do": {"wrong_tool": True}}])
        end = await client.chat()
        assert (await http.put(script, json=[])).json() == {"rules": 0, "hits": 1}
    assert end["type"] == "agent_completed"
    assert [frame for frame in client.frames if frame["type"] == "agent_error"] == []
    tools = {frame["data"]["tool_name"] for frame in client.frames if frame["type"] == "tool_completed"}
    assert tools >= {"usage_by_model", "latency_by_model"}
    assert not any(name.endswith("_of_nobody") for name in tools)


async def cut_connections(deployment: Deployment) -> None:
    await deployment.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )


async def ready_again(worker: Worker) -> None:
    """Until the breaker has let a probe through."""
    async with asyncio.timeout(20), worker.http() as http:
        while (await http.get("/health/ready")).status_code != 200:
            continue  # asked again as soon as it has answered


async def test_cut_postgres_connections_are_not_noticed_by_a_run(deployment: Deployment, worker: Worker):
    user = await worker.sign_up()
    async with slow_model(deployment, worker), worker.socket(user.access) as client:
        await client.say()
        await client.until("agent_started", agent_name="triage")
        await cut_connections(deployment)
        end = await client.answer()
    assert end["type"] == "agent_completed"
    assert client.seqs == list(range(1, len(client.seqs) + 1))


async def test_a_stalled_postgres_is_waited_out_by_a_run_and_told_to_who_asks(deployment: Deployment, worker: Worker):
    user = await worker.sign_up()
    async with slow_model(deployment, worker), worker.socket(user.access) as client:
        await client.say()
        await client.until("agent_started", agent_name="triage")
        async with stalled(deployment.lab.postgres):
            async with worker.http() as http:
                answer = await http.post("/auth/login", json={"email": user.email, "password": "x"})
                assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
                assert int(answer.headers["retry-after"]) >= 1
                assert (await http.get("/health/ready")).status_code == 503
            assert await worker.refused(user.access) == (1013, "store_unavailable")
            message = await client.say()
            error = await client.until("error")
            assert (error["code"], error["data"]["message_id"]) == ("store_unavailable", message)
            assert error["data"]["retry_after_s"] > 0
        end = await client.answer()
    assert end["type"] == "agent_completed"
    assert client.seqs == list(range(1, len(client.seqs) + 1))
    await ready_again(worker)


async def test_a_transaction_that_stalls_in_the_middle_does_not_outlast_its_timeout(
    deployment: Deployment, worker: Worker
):
    """A rollback on a stalled connection would wait as long as the stall."""
    user = await worker.sign_up()
    holder = await asyncpg.connect(deployment.postgres_url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE refresh_tokens IN ACCESS EXCLUSIVE MODE")
        async with worker.http() as http:
            asked = asyncio.create_task(http.post("/auth/refresh", json={"refresh_token": user.refresh}))
            await waiting_for_a_lock(deployment)
            async with stalled(deployment.lab.postgres):
                answer = await asked
    await holder.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    await ready_again(worker)


async def waiting_for_a_lock(deployment: Deployment) -> None:
    async with asyncio.timeout(10):
        while not await deployment.sql("SELECT FROM pg_locks WHERE NOT granted"):
            continue  # asked again as soon as it has answered


async def test_a_second_message_and_the_first_ones_answer_do_not_deadlock(deployment: Deployment):
    """Who stores a message holds its thread while it waits for the user's row, which the answer's writer has."""
    worker = await deployment.worker(time_scale=1)
    user, thread = await worker.sign_up(), str(uuid.uuid4())
    holder = await asyncpg.connect(deployment.postgres_url)
    async with worker.socket(user.access) as client:
        await client.chat(thread_id=thread)
        async with holder.transaction():
            await holder.execute("UPDATE users SET last_seq = last_seq WHERE id = $1", user.user_id)
            await client.say(thread_id=thread)
            await waiting_for_a_lock(deployment)
            await holder.execute("SELECT FROM threads WHERE id = $1 FOR KEY SHARE NOWAIT", thread)
        await client.answer()
    await holder.close()


async def test_a_redis_that_was_killed_costs_no_event(deployment: Deployment, worker: Worker):
    other = await deployment.worker()
    user = await worker.sign_up()
    redis = deployment.lab.redis
    async with slow_model(deployment, worker), worker.socket(user.access) as here, other.socket(user.access) as there:
        await here.say()
        await here.until("agent_started", agent_name="triage")
        await redis.kill()
        try:
            await asyncio.gather(here.answer(), there.answer())
        finally:
            await redis.restart()
        first = len(here.seqs)
        await here.say()
        await asyncio.gather(here.answer(), there.answer())
    assert here.seqs == there.seqs == list(range(1, len(here.seqs) + 1))
    assert len(here.seqs) > first


async def test_a_stalled_redis_costs_no_event(deployment: Deployment, worker: Worker):
    other = await deployment.worker()
    user = await worker.sign_up()
    async with (
        worker.socket(user.access) as here,
        other.socket(user.access) as there,
        stalled(deployment.lab.redis),
    ):
        await here.say()
        await asyncio.gather(here.answer(), there.answer())
    assert here.seqs == there.seqs == list(range(1, len(here.seqs) + 1))


async def test_a_killed_worker_loses_no_acknowledged_message(deployment: Deployment, worker: Worker):
    user = await worker.sign_up()
    doomed = await deployment.worker()
    async with slow_model(deployment, worker), doomed.socket(user.access) as client:
        await client.say()
        accepted = await client.until("message_accepted")
        await doomed.process.kill()
    async with worker.socket(user.access) as client:
        assert (await client.until("message_accepted"))["data"] == accepted["data"]
    rows = await deployment.sql("SELECT id FROM messages WHERE user_id = $1", user.user_id)
    assert [str(row["id"]) for row in rows] == [accepted["data"]["message_id"]]


# Close codes that a fault leads to; 1000, 4401, 4402, 4403 and 4413 are reached in test_backend


async def test_an_authentication_that_takes_too_long_closes_with_4408(deployment: Deployment, worker: Worker):
    user = await worker.sign_up()
    hasty = await deployment.worker(authentication_timeout=1.0)
    await hasty.sign_up()  # its connections are open
    async with stalled(deployment.lab.postgres), stalled(deployment.lab.redis):
        assert await hasty.refused(user.access) == (4408, "auth_timeout")
    await ready_again(worker)


async def test_a_defect_of_ours_closes_with_1011_and_tells_no_details(deployment: Deployment, worker: Worker):
    user = await worker.sign_up()
    await deployment.sql("ALTER TABLE users RENAME COLUMN last_seq TO lost")
    try:
        assert await worker.refused(user.access) == (1011, "internal")
    finally:
        await deployment.sql("ALTER TABLE users RENAME COLUMN lost TO last_seq")
    async with worker.socket(user.access) as client:
        await client.chat()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_that_is_told_to_end_closes_with_1012_and_ends_in_order(
    deployment: Deployment, worker: Worker, number: int
):
    user = await worker.sign_up()
    command = [sys.executable, "-m", "netra_sim.backend", "serve"]
    environment = {**os.environ, **deployment.environment()}
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    port = json.loads(await process.stdout.readline())["port"]
    async with Worker(port, process).socket(user.access) as client:
        process.send_signal(number)
        assert (await client.closed())[0] == 1012
    async with asyncio.timeout(5):
        assert await process.wait() == 0
    async with worker.socket(user.access) as client:
        await client.chat()
