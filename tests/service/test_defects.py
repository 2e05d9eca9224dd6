"""Each known defect in a real worker: it answers one chat, wrong in the way it states, or fails in that way."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
import redis.asyncio

from netra_sim import defects
from netra_sim.users import workload
from tests.service.test_backend import tampered
from tests.service.visitor import Client, Deployment, Frame, User, Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")

Stated = Callable[[Deployment, Worker, User], Awaitable[None]]


async def chat(deployment: Deployment, worker: Worker, user: User, days: int = 0) -> tuple[Client, Frame]:
    await deployment.workload(user.user_id, days)
    async with worker.socket(user.access) as client:
        end = await client.chat()
    assert end["type"] == "agent_completed"
    return client, end


def places(client: Client, type_: str) -> dict[str, int]:
    """Where each agent's frame of this type stands."""
    return {f["data"]["agent_name"]: n for n, f in enumerate(client.frames) if f["type"] == type_}


async def event_dropped(deployment: Deployment, worker: Worker, user: User) -> None:
    client, _ = await chat(deployment, worker, user)
    assert set(range(1, client.seqs[-1] + 1)) - set(client.seqs) == {10, 20} & set(range(client.seqs[-1]))


async def event_sent_twice(deployment: Deployment, worker: Worker, user: User) -> None:
    client, _ = await chat(deployment, worker, user)
    assert client.seqs.count(10) == 2
    assert client.seqs.count(9) == 1


async def event_forgotten(deployment: Deployment, worker: Worker, user: User) -> None:
    client, _ = await chat(deployment, worker, user)
    assert "triage" in places(client, "tool_executing")
    assert "triage" not in places(client, "tool_completed")
    assert client.seqs == list(range(1, len(client.seqs) + 1))


async def transition_skipped(deployment: Deployment, worker: Worker, user: User) -> None:
    _, end = await chat(deployment, worker, user)
    rows = await deployment.sql("SELECT to_state FROM run_transitions WHERE run_id = $1 ORDER BY n", end["run_id"])
    assert [row["to_state"] for row in rows] == ["starting", "completing", "completed"]


async def dependencies_ignored(deployment: Deployment, worker: Worker, user: User) -> None:
    client, _ = await chat(deployment, worker, user)
    assert places(client, "agent_started")["reporting"] < places(client, "agent_completed")["data_helper"]


async def steps_in_sequence(deployment: Deployment, worker: Worker, user: User) -> None:
    client, end = await chat(deployment, worker, user, days=15)
    assert end["data"]["result"]["route"] == "partial"
    assert places(client, "agent_completed")["data_helper"] < places(client, "agent_started")["data"]
    of_data = [f["type"] for f in client.frames if f["data"].get("agent_name") == "data" and "call_id" in f["data"]]
    assert of_data == ["tool_executing", "tool_completed"] * 2


async def canary_leaked(deployment: Deployment, worker: Worker, user: User) -> None:
    other = await worker.sign_up()
    await deployment.workload(other.user_id, 1, "canary-of-another")
    client, _ = await chat(deployment, worker, user)
    assert any("canary-of-another" in str(f["data"]) for f in client.frames)


async def welcome_without_limits(deployment: Deployment, worker: Worker, user: User) -> None:
    client, _ = await chat(deployment, worker, user)
    assert client.welcome["data"]["config"] == {}


async def subprotocol_ignored(deployment: Deployment, worker: Worker, user: User) -> None:
    assert await worker.refused(user.access, "subprotocol") == (4401, "no_token")
    await chat(deployment, worker, user)


async def token_not_checked(deployment: Deployment, worker: Worker, user: User) -> None:
    async with worker.socket(tampered(user.access)) as client:
        assert client.welcome["data"]["user_id"] == user.user_id
        await client.chat()


async def acknowledged_before_commit(deployment: Deployment, worker: Worker, user: User) -> None:
    async with worker.socket(user.access) as client:
        await client.say()
        first = await client.until("message_accepted")
        assert (first["seq"], first["data"]["duplicate"]) == (None, True)
        await client.answer()  # adopted after a while: nobody began it
        await client.say(thread_id=await another_users_thread(deployment, worker))
        lost = await client.until("message_accepted")
    assert lost["data"]["run_id"]
    rows = await deployment.sql("SELECT count(*) AS n FROM messages WHERE user_id = $1 AND role = 'user'", user.user_id)
    assert rows[0]["n"] == 1


async def another_users_thread(deployment: Deployment, worker: Worker) -> str:
    thread, other = str(uuid.uuid4()), await worker.sign_up()
    await deployment.sql("INSERT INTO threads (id, user_id) VALUES ($1, $2)", thread, other.user_id)
    return thread


async def dead_connections_kept(deployment: Deployment, worker: Worker, user: User) -> None:
    await chat(deployment, worker, user)
    await deployment.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )
    async with worker.http(user) as http:
        path = f"/threads/{uuid.uuid4()}/messages"
        for _ in range(6):
            assert (await http.get(path)).status_code == 503
            await asyncio.sleep(0)


async def connections_leaked(deployment: Deployment, worker: Worker, user: User) -> None:
    await chat(deployment, worker, user)
    async with worker.http(user) as http, asyncio.timeout(30):
        path = f"/threads/{uuid.uuid4()}/messages"
        back = await stalled(deployment, http, path)
        while True:  # Postgres is back, and the breaker's probe after that finds no connection all the same
            told = (await http.get("/health")).json()["dependencies"]["postgres"]
            if told["ok"]:  # a place is left, until the next stall
                back = await stalled(deployment, http, path)
            elif told["breaker"] == "open" and told["since"] > back:
                break
        assert (await http.get(path)).status_code == 503


async def stalled(deployment: Deployment, http: httpx.AsyncClient, path: str) -> float:
    """Let requests run into a stall of Postgres; the time (s since the epoch) at which it answers again."""
    await asyncio.gather(*(http.get(path) for _ in range(30)))  # all of the pool's connections are open
    await deployment.lab.postgres.pause()
    try:
        held = await asyncio.gather(*(http.get(path) for _ in range(10)))
    finally:
        await deployment.lab.postgres.resume()
    assert {answer.status_code for answer in held} == {503}
    assert await deployment.sql("SELECT 1")
    return time.time()


async def result_under(deployment: Deployment, worker: Worker, do: dict[str, Any]) -> dict[str, Any]:
    """What a new user is answered while the model does this to every report."""
    script = deployment.lab.llm_url.replace("/v1", "/script")
    async with worker.http() as http:
        await http.put(script, json=[{"match": {"agent": "reporting"}, "do": do}] if do else [])
        _, end = await chat(deployment, worker, await worker.sign_up())
        await http.put(script, json=[])
    return end["data"]["result"]  # type: ignore[no-any-return]


async def naive_model_client(deployment: Deployment, worker: Worker, user: User) -> None:
    raw = await result_under(deployment, worker, {"malformed": True})
    assert raw["summary"].startswith('{"summary":')
    began = time.monotonic()
    limited = await result_under(deployment, worker, {"retry_after": 5.0})
    assert limited["missing"] == ["reporting"]
    assert time.monotonic() - began < 5.0
    stalled = await result_under(deployment, worker, {"stall_after_tokens": 20})
    assert stalled["missing"] == ["reporting"]
    assert "incomplete" not in stalled["summary"]


async def model_given_up(deployment: Deployment, worker: Worker, user: User) -> None:
    assert (await result_under(deployment, worker, {"status": 400}))["missing"] == ["reporting"]
    assert (await result_under(deployment, worker, {}))["missing"] == ["data_helper", "reporting", "triage"]


async def cache_required(deployment: Deployment, worker: Worker, user: User) -> None:
    async with worker.http(user) as http, without_redis(deployment):
        assert (await http.get("/auth/me")).json()["code"] == "store_unavailable"


async def redis_only_fanout(deployment: Deployment, worker: Worker, user: User) -> None:
    other = await deployment.worker(parts="netra_sim.defects:redis_only_fanout")
    async with without_redis(deployment), worker.socket(user.access) as deaf, other.socket(user.access) as client:
        await deaf.send("ping")
        assert (await deaf.next())["type"] == "pong"  # it has resumed: what comes from now on came by fan-out
        end = await client.chat()
        await deaf.send("ping")
        while (frame := await deaf.next())["type"] != "pong":
            assert frame["seq"] is None
    assert end["type"] == "agent_completed"


async def redis_given_up(deployment: Deployment, worker: Worker, user: User) -> None:
    async with without_redis(deployment):
        await chat(deployment, worker, user)
    await chat(deployment, worker, user)
    async with worker.http() as http:
        assert (await http.get("/health/state")).json()["breakers"]["redis"] != "closed"


async def replay_incomplete(deployment: Deployment, worker: Worker, user: User) -> None:
    _, end = await chat(deployment, worker, user)
    async with worker.socket(user.access, resume=0) as again:
        await again.until("agent_completed", agent_name="supervisor")
    assert set(range(1, end["seq"] + 1)) > set(again.seqs)


async def stream_not_kept(deployment: Deployment, worker: Worker, user: User) -> None:
    client, end = await chat(deployment, worker, user)
    assert client.seqs == list(range(1, end["seq"] + 1))
    async with redis.asyncio.Redis.from_url(deployment.lab.redis.url) as store:
        assert not await store.exists(f"{deployment.prefix}stream:{user.user_id}")


async def replay_forgotten(deployment: Deployment, worker: Worker, user: User) -> None:
    _, end = await chat(deployment, worker, user)
    async with worker.socket(user.access, resume=1) as again:
        await again.chat()
    assert again.seqs[0] == end["seq"] + 1


async def standing_forgotten(deployment: Deployment, worker: Worker, user: User) -> None:
    _, end = await chat(deployment, worker, user)
    async with worker.socket(user.access, resume=end["seq"]) as again:
        assert again.welcome["data"]["last_seq"] == 0
        assert (await again.chat())["seq"] == 2 * end["seq"]


async def answer_not_stored(deployment: Deployment, worker: Worker, user: User) -> None:
    _, end = await chat(deployment, worker, user)
    assert end["data"]["result"]["summary"]
    rows = await deployment.sql("SELECT role FROM messages WHERE user_id = $1", user.user_id)
    assert [row["role"] for row in rows] == ["user"]


async def one_route_for_all(deployment: Deployment, worker: Worker, user: User) -> None:
    _, end = await chat(deployment, worker, user, days=30)
    assert end["data"]["result"]["route"] == "insufficient"


async def schema_ignored(deployment: Deployment, worker: Worker, user: User) -> None:
    _, end = await chat(deployment, worker, user)
    result = end["data"]["result"]
    assert json.loads(result["raw"])["summary"] == result["summary"]


async def price_table_stale(deployment: Deployment, worker: Worker, user: User) -> None:
    await deployment.workload(user.user_id, 30, tokens=(100, 200))
    _, end = await chat(deployment, worker, user)
    (large_in, large_out), (medium_in, medium_out) = (workload.PRICES[f"netra-{size}"] for size in ("large", "medium"))
    saved = 30 * (100 * (large_in - medium_in) + 200 * (large_out - medium_out)) / 1e9
    assert end["data"]["result"]["savings"] == pytest.approx(saved * 2 / 3)


async def idempotency_removed(deployment: Deployment, worker: Worker, user: User) -> None:
    message, thread = str(uuid.uuid4()), str(uuid.uuid4())
    async with worker.socket(user.access) as client:
        for _ in range(2):
            await client.say(message_id=message, thread_id=thread)
            await client.answer()
    rows = await deployment.sql("SELECT count(*) AS n FROM messages WHERE user_id = $1 AND role = 'user'", user.user_id)
    assert rows[0]["n"] == 2


ONCE_REFUSED = (  # a commit that Postgres refuses once; a sequence counts on through a rollback
    "CREATE SEQUENCE commits",
    """
    CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF nextval('commits') = 1 THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF; RETURN NULL; END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER refused AFTER INSERT ON sessions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION refuse_once()
    """,
)


async def every_commit_retried(deployment: Deployment, worker: Worker, user: User) -> None:
    for statement in ONCE_REFUSED:
        await deployment.sql(statement)
    try:
        await worker.sign_up()
        rows = await deployment.sql("SELECT last_value FROM commits")
        assert rows[0]["last_value"] == 2
    finally:
        await deployment.sql("DROP TRIGGER refused ON sessions")


@contextlib.asynccontextmanager
async def without_redis(deployment: Deployment) -> AsyncIterator[None]:
    await deployment.lab.redis.kill()
    try:
        yield
    finally:
        await deployment.lab.redis.restart()


STATED: dict[str, Stated] = {
    "acknowledged_before_commit": acknowledged_before_commit,
    "answer_not_stored": answer_not_stored,
    "cache_required": cache_required,
    "canary_leaked": canary_leaked,
    "connections_leaked": connections_leaked,
    "dead_connections_kept": dead_connections_kept,
    "dependencies_ignored": dependencies_ignored,
    "event_dropped": event_dropped,
    "event_forgotten": event_forgotten,
    "event_sent_twice": event_sent_twice,
    "every_commit_retried": every_commit_retried,
    "idempotency_removed": idempotency_removed,
    "model_given_up": model_given_up,
    "naive_model_client": naive_model_client,
    "one_route_for_all": one_route_for_all,
    "price_table_stale": price_table_stale,
    "redis_given_up": redis_given_up,
    "redis_only_fanout": redis_only_fanout,
    "replay_forgotten": replay_forgotten,
    "replay_incomplete": replay_incomplete,
    "schema_ignored": schema_ignored,
    "standing_forgotten": standing_forgotten,
    "steps_in_sequence": steps_in_sequence,
    "stream_not_kept": stream_not_kept,
    "subprotocol_ignored": subprotocol_ignored,
    "token_not_checked": token_not_checked,
    "transition_skipped": transition_skipped,
    "welcome_without_limits": welcome_without_limits,
}


async def test_every_defect_states_what_it_does():
    assert STATED.keys() == set(defects.__all__)


@pytest.mark.parametrize("name", defects.__all__)
async def test_a_worker_with_a_known_defect_shows_it(deployment: Deployment, name: str):
    worker = await deployment.worker(parts=f"netra_sim.defects:{name}")
    try:
        await STATED[name](deployment, worker, await worker.sign_up())
        assert await worker.alive()
    finally:
        await deployment.stop()
        deployment.started.clear()
