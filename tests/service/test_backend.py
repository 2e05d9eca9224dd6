"""The real worker process on real Postgres, Redis and the simulated model: chat, and everything refused."""

import asyncio
import base64
import json
import subprocess
import sys
import uuid

import pytest

from netra_sim.backend.agents.machine import TABLE
from netra_sim.backend.agents.specs import ROUTES
from tests.service.visitor import Deployment, Frame, Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")


# Chat


def legal(frames: list[Frame], route: str) -> None:
    """One run's durable frames are gapless and in an order that the platform promises."""
    runs = [f for f in frames if f["type"] != "message_accepted"]
    assert [f["run_seq"] for f in runs] == list(range(1, len(runs) + 1))
    assert len({(f["run_id"], f["thread_id"]) for f in frames}) == 1
    assert (runs[0]["type"], runs[-1]["type"]) == ("agent_started", "agent_completed")
    assert runs[0]["data"]["agent_name"] == runs[-1]["data"]["agent_name"] == "supervisor"
    ended: set[str] = set()
    open_calls: set[str] = set()
    for frame in runs[1:-1]:
        agent, type_ = frame["data"]["agent_name"], frame["type"]
        assert agent not in ended
        if type_ == "agent_started":
            assert set(ROUTES[route].get(agent, ())) <= ended
            assert agent == "triage" or "triage" in ended
        elif type_ == "agent_completed":
            ended.add(agent)
        elif type_ == "tool_executing":
            open_calls.add(frame["data"]["call_id"])
        elif type_ == "tool_completed":
            assert "error" not in frame["data"]
            open_calls.remove(frame["data"]["call_id"])
        else:
            assert type_ == "agent_thinking"
    assert (ended, open_calls) == ({"triage", *ROUTES[route]}, set())


@pytest.mark.parametrize(("days", "route"), [(0, "insufficient"), (15, "partial"), (30, "sufficient")])
@pytest.mark.parametrize("via", ["header", "subprotocol"])
async def test_a_question_is_answered(deployment: Deployment, worker: Worker, days: int, route: str, via: str):
    user, thread = await worker.sign_up(), str(uuid.uuid4())
    await deployment.workload(user.user_id, days)
    async with worker.socket(user.access, via=via) as client:
        assert client.ws.subprotocol == (None if via == "header" else "jwt-auth")
        welcome = client.welcome["data"]
        assert (welcome["user_id"], welcome["last_seq"], welcome["worker"]) == (user.user_id, 0, "w1")
        assert welcome["config"] == {
            "heartbeat_s": 2.5, "max_message_bytes": 8192, "rate_limit_per_minute": 10, "idle_timeout_s": 30.0
        }  # fmt: skip
        end = await client.chat(thread_id=thread)
    assert client.seqs == list(range(1, len(client.frames) + 1))
    legal(client.durable, route)
    accepted, answer = client.frames[0], end["data"]["result"]
    assert (accepted["type"], accepted["data"]["duplicate"]) == ("message_accepted", False)
    assert (answer["route"], answer["partial"], answer["missing"]) == (route, route != "sufficient", [])
    rows = await deployment.sql("SELECT * FROM run_transitions WHERE run_id = $1 ORDER BY n", end["run_id"])
    chain = [(row["from_state"], row["to_state"]) for row in rows]
    assert [a for a, _ in chain] == ["pending", "starting", "running", "completing"]
    assert all(b in TABLE[a] for a, b in chain)
    async with worker.http(user) as http:
        page = (await http.get(f"/threads/{thread}/messages?limit=1")).json()
        rest = (await http.get(f"/threads/{thread}/messages?after={page['next']}")).json()
    said = [*page["messages"], *rest["messages"]]
    assert [(m["role"], m["run_id"]) for m in said] == [("user", end["run_id"]), ("assistant", end["run_id"])]
    assert (said[1]["text"], rest["next"]) == (answer["summary"], None)


async def test_the_same_message_twice_is_one_message(worker: Worker):
    user, thread = await worker.sign_up(), str(uuid.uuid4())
    async with worker.socket(user.access) as client:
        message = await client.say(thread_id=thread)
        first = await client.until("message_accepted")
        end = await client.answer()
        await client.say(thread_id=thread, message_id=message)
        again = await client.until("message_accepted")
        assert again["data"] == {"message_id": message, "run_id": end["run_id"], "duplicate": True}
        assert (first["data"]["run_id"], again["seq"]) == (end["run_id"], None)
        await client.send("ping")
        await client.until("pong")
    assert len([f for f in client.frames if f["type"] == "agent_completed"]) == len(
        {f["data"]["agent_name"] for f in client.frames if f["type"] == "agent_completed"}
    )


async def test_another_users_thread_is_closed(worker: Worker):
    ann, bob, thread = await worker.sign_up(), await worker.sign_up(), str(uuid.uuid4())
    async with worker.socket(ann.access) as a, worker.socket(bob.access) as b:
        await a.chat(thread_id=thread)
        message = await b.say(thread_id=thread)
        error = await b.until("error")
        assert (error["code"], error["data"]["field"], error["data"]["message_id"]) == (
            "forbidden",
            "thread_id",
            message,
        )
        await b.chat()
    async with worker.http(bob) as http:
        assert (await http.get(f"/threads/{thread}/messages")).json() == {"messages": [], "next": None}


@pytest.mark.parametrize("keep", [0, 1, 7])
async def test_after_a_dropped_socket_the_stream_goes_on_without_gap_or_repetition(worker: Worker, keep: int):
    user = await worker.sign_up()
    async with worker.socket(user.access) as client:
        await client.say()
        for _ in range(keep):
            await client.next()
        await client.drop()
    seen = client.seqs
    async with worker.socket(user.access, resume=len(seen)) as client:
        await client.answer()
    seen += client.seqs
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) > 10


async def test_a_long_absence_is_replayed_whole_through_a_small_buffer(deployment: Deployment, worker: Worker):
    user = await worker.sign_up()
    async with worker.socket(user.access) as client:
        await client.chat()
    small = await deployment.worker(outbound_frames=2, outbound_burst=4)
    async with small.socket(user.access) as late:
        await late.answer()
    assert [(f["seq"], f["data"]) for f in late.durable] == [(f["seq"], f["data"]) for f in client.durable]


async def test_an_event_made_on_one_worker_reaches_a_socket_on_another(deployment: Deployment):
    # At this scale a worker asks Postgres for what it missed only after 20 s: the event must come from the other one.
    one, other = await asyncio.gather(
        *(deployment.worker(worker=name, time_scale=10) for name in ("here", "elsewhere"))
    )
    user = await one.sign_up()
    async with one.socket(user.access) as here, other.socket(user.access) as there:
        assert there.welcome["data"]["worker"] == "elsewhere"
        await here.say()
        await asyncio.gather(here.answer(), there.answer())
    assert here.seqs == there.seqs == list(range(1, len(here.seqs) + 1))
    assert [f["data"] for f in here.durable] == [f["data"] for f in there.durable]


async def test_a_run_may_take_longer_than_a_request(deployment: Deployment):
    """The run does not inherit the deadline of the frame that started it."""
    worker = await deployment.worker(request_deadline=2.0)  # 0.2 s at this scale
    user = await worker.sign_up()
    async with worker.http() as http:
        script = deployment.lab.llm_url.replace("/v1", "/script")
        await http.put(script, json=[{"match": {"agent": "triage", "nth": 1}, "do": {"delay_s": 0.5}}])
        async with worker.socket(user.access) as client:
            end = await client.chat()
        await http.put(script, json=[])
    assert end["type"] == "agent_completed", end
    legal(client.durable, "insufficient")


async def test_a_pending_run_is_adopted(deployment: Deployment, worker: Worker):
    user, run, thread = await worker.sign_up(), str(uuid.uuid4()), str(uuid.uuid4())
    async with worker.socket(user.access) as client:
        await deployment.sql("INSERT INTO threads (id, user_id) VALUES ($1, $2)", thread, user.user_id)
        await deployment.sql(
            "WITH run AS (INSERT INTO runs (id, user_id, thread_id, worker, created_at) "
            "VALUES ($1, $2, $3, 'gone', now() - interval '1 minute')) "
            "INSERT INTO messages (id, user_id, thread_id, run_id, role, text) "
            "VALUES (gen_random_uuid(), $2, $3, $1, 'user', 'What does it cost?')",
            run, user.user_id, thread,
        )  # fmt: skip
        end = await client.answer()
    assert (end["type"], end["run_id"]) == ("agent_completed", run)
    legal(client.durable, "insufficient")


async def test_the_runs_of_a_killed_worker_end_and_their_users_are_told(deployment: Deployment, worker: Worker):
    doomed = await deployment.worker()
    user, bystander = await doomed.sign_up(), await worker.sign_up()
    script = deployment.lab.llm_url.replace("/v1", "/script")
    async with worker.http() as http, worker.socket(user.access) as home, worker.socket(bystander.access) as other:
        await http.put(script, json=[{"match": {"agent": "triage"}, "do": {"delay_s": 2.0}}])
        try:
            await other.say()
            async with doomed.socket(user.access) as client:
                await client.say()
                await client.until("agent_started", agent_name="triage")
                await doomed.process.kill()
            end = await home.answer()
            others_end = await other.answer()
        finally:
            await http.put(script, json=[])
    assert (end["type"], end["data"]["agent_name"]) == ("agent_death", "supervisor")
    assert (end["data"]["status"], end["data"]["reason"]) == ("dead", "The worker that had it has gone.")
    assert others_end["type"] == "agent_completed"  # its worker lives: it was left alone, however slow
    rows = await deployment.sql("SELECT status, ended_at IS NOT NULL AS ended FROM runs WHERE id = $1", end["run_id"])
    assert [tuple(row) for row in rows] == [("dead", True)]


# Refusals: each names what is wrong, and the service goes on


def tampered(token: str) -> str:
    head, claims, signature = token.split(".")
    data = json.loads(base64.urlsafe_b64decode(claims + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**data, "tier": "enterprise"}).encode()).decode().rstrip("=")
    return f"{head}.{forged}.{signature}"


@pytest.mark.parametrize("via", ["header", "subprotocol"])
async def test_a_socket_without_a_good_token_is_told_why(deployment: Deployment, worker: Worker, via: str):
    good = await worker.sign_up()
    assert await worker.refused(None, via) == (4401, "no_token")
    for token in (tampered(good.access), "malformed", "a.b.c", good.access[:-8]):
        assert await worker.refused(token, via) == (4403, "token_invalid")
    short = await deployment.worker(access_life=0.001, clock_skew=0)
    assert await short.refused((await short.sign_up()).access, via) == (4402, "token_expired")
    async with worker.socket(good.access, via=via) as client:
        await client.chat()


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("{", "bad_frame", "frame"),
        (b"\xff\x00", "bad_frame", "frame"),
        ("[]", "bad_frame", "frame"),
        ('{"type": "shout"}', "unknown_type", "type"),
        ('{"type": "chat_message", "payload": {"text": "abc"}}', "bad_frame", "message_id"),
        ('{"type": "resume", "payload": {"last_seq": 1e30}}', "bad_frame", "payload.last_seq"),
        (json.dumps({"type": "chat_message", "message_id": str(uuid.uuid4()), "thread_id": str(uuid.uuid4()),
                     "payload": {"text": "a\x00bc"}}), "bad_frame", "payload.text"),
        (json.dumps({"type": "chat_message", "message_id": "x", "thread_id": str(uuid.uuid4()),
                     "payload": {"text": "abc"}}), "bad_frame", "message_id"),
    ],
)  # fmt: skip
async def test_a_malformed_frame_is_told_by_field_and_the_socket_stays(
    worker: Worker, text: str | bytes, code: str, field: str
):
    user = await worker.sign_up()
    async with worker.socket(user.access) as client:
        await client.ws.send(text)
        error = await client.until("error")
        assert (error["code"], error["data"]["field"]) == (code, field)
        assert error["message"]
        assert error["recovery"]
        await client.send("ping")
        await client.until("pong")


async def test_the_first_frame_must_be_resume(worker: Worker):
    user = await worker.sign_up()
    async with worker.socket(user.access, resume=None) as client:
        message = await client.say()
        error = await client.until("error")
        assert (error["code"], error["data"]["message_id"]) == ("not_resumed", message)
        await client.send("resume", {"last_seq": 0})
        await client.chat(message_id=message)


async def test_a_message_beyond_the_tiers_size_closes_with_4413(worker: Worker):
    user = await worker.sign_up()
    async with worker.socket(user.access) as client:
        await client.say("x" * 8192)
        error = await client.until("error")
        assert (error["code"], error["data"]["limit_bytes"]) == ("message_too_large", 8192)
        assert await client.closed() == (4413, "message_too_large")
    assert await worker.alive()


async def test_the_eleventh_message_of_a_minute_on_the_free_tier_waits(deployment: Deployment):
    worker = await deployment.worker(time_scale=1)
    user = await worker.sign_up()
    async with worker.socket(user.access) as client:
        for _ in range(10):
            await client.say()
            await client.until("message_accepted")
        message = await client.say()
        error = await client.until("error")
    assert (error["code"], error["data"]["message_id"]) == ("rate_limited", message)
    assert 0 < error["data"]["retry_after_s"] <= 60
    assert error["data"]["limit_per_minute"] == 10
    rows = await deployment.sql("SELECT count(*) AS n FROM messages WHERE user_id = $1 AND role = 'user'", user.user_id)
    assert rows[0]["n"] == 10


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code", "field"),
    [
        ("POST", "/auth/signup", b"{", 422, "bad_request", "body"),
        ("POST", "/auth/signup", b"{}", 422, "bad_request", "email"),
        ("POST", "/auth/signup", b'{"email": "a@b.c", "password": "short"}', 422, "bad_request", "password"),
        ("POST", "/auth/signup", b'{"email": "a\\u0000@b.c", "password": "long enough"}', 422, "bad_request", "email"),
        ("POST", "/auth/signup", b'{"email": "n@b.c", "password": "long one", "name": "\\u0000"}', 422, "bad_request",
         "name"),
        ("POST", "/auth/login", b'{"email": "a@b.c", "password": "x", "more": 1}', 422, "bad_request", "more"),
        ("POST", "/auth/refresh", b'{"refresh_token": 5}', 422, "bad_request", "refresh_token"),
        ("POST", "/auth/login", b" " * ((1 << 20) + 1), 422, "bad_request", "body"),
        ("GET", "/threads/x/messages", b"", 422, "bad_request", "thread_id"),
        ("GET", f"/threads/{uuid.uuid4()}/messages?limit=-1", b"", 422, "bad_request", "limit"),
        ("GET", f"/threads/{uuid.uuid4()}/messages?after={'9' * 5000}", b"", 422, "bad_request", "after"),
        ("GET", "/nowhere", b"", 404, "not_found", None),
        ("GET", "/auth/login", b"", 405, "wrong_method", None),
    ],
)  # fmt: skip
async def test_a_malformed_request_is_a_problem_that_names_its_field(
    worker: Worker, method: str, path: str, content: bytes, status: int, code: str, field: str | None
):
    async with worker.http(await worker.sign_up()) as http:
        answer = await http.request(method, path, content=content)
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, told["code"], told.get("field")) == (status, code, field)
    assert told["request_id"] == answer.headers["x-request-id"]
    assert told["remedy"]
    assert await worker.alive()


async def test_requests_without_a_good_token_are_refused(worker: Worker):
    user = await worker.sign_up()
    for header, code in ({}, "no_token"), ({"authorization": f"Bearer {tampered(user.access)}"}, "token_invalid"):
        async with worker.http() as http:
            for path in ("/auth/me", f"/threads/{uuid.uuid4()}/messages"):
                answer = await http.get(path, headers=header)
                assert (answer.status_code, answer.json()["code"]) == (401, code)


@pytest.mark.parametrize(
    ("name", "value"), [("NETRA_PORT", "eighty"), ("NETRA_WITHOUT", "luck"), ("NETRA_PARTS", "nowhere:at_all")]
)
async def test_a_wrong_setting_ends_the_worker_with_its_name(deployment: Deployment, name: str, value: str):
    command = [sys.executable, "-m", "netra_sim.backend", "serve"]
    environment = {**deployment.environment(), name: value}
    ended = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.returncode == 2
    assert (name if name != "NETRA_PARTS" else "parts") in ended.stderr
    assert value in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_an_idle_socket_is_closed_in_good_order(deployment: Deployment):
    worker = await deployment.worker(idle_timeout=1.0)
    user = await worker.sign_up()
    async with worker.socket(user.access) as client:
        assert await client.closed() == (1000, "idle")


async def test_health_tells_each_dependency(worker: Worker):
    async with worker.http() as http:
        told = (await http.get("/health")).json()
        ready = await http.get("/health/ready")
    assert (told["level"], told["failing"]) == ("normal", [])
    assert {name for name, part in told["dependencies"].items() if part["ok"]} == {
        "postgres",
        "redis",
        "clickhouse",
        "llm",
    }
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
