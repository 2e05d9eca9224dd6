"""A user of the real backend: HTTP and WebSocket, and a direct look into the stores behind it."""

import asyncio
import base64
import contextlib
import datetime
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import clickhouse_connect
import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from netra_sim.users import workload

SECONDS = 10.0  # no answer takes longer, however busy the machine
ENDS = ("agent_completed", "agent_error", "agent_death")
PASSWORD = "correct horse battery"
Frame = dict[str, Any]


@dataclass
class Deployment:
    """One namespace: a database, one for the logs, a Redis prefix, and the workers on them."""

    lab: Any
    postgres_url: str
    logs_url: str
    prefix: str
    started: list[Any] = field(default_factory=list)

    def environment(self, **settings: object) -> dict[str, str]:
        given = {
            "postgres_url": self.postgres_url, "redis_url": self.lab.redis.url, "redis_prefix": self.prefix,
            "clickhouse_url": self.logs_url, "llm_url": self.lab.llm_url, "time_scale": 0.1,
            "worker": f"w{len(self.started) + 1}", **settings,
        }  # fmt: skip
        return {f"NETRA_{name.upper()}": str(value) for name, value in given.items()}

    async def worker(self, **settings: object) -> "Worker":
        process = await self.lab.worker(self.environment(**settings))
        self.started.append(process)
        return Worker(process.port, process)

    async def stop(self) -> None:
        for process in self.started:
            await self.lab.stop_worker(process)

    async def sql(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.postgres_url)
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    async def workload(
        self, user_id: str, days: int, project: str = "apollo", tokens: tuple[int, int] = (100, 900)
    ) -> None:
        """One call a day, up to today."""
        day, now = datetime.timedelta(days=1), datetime.datetime.now(datetime.UTC)
        rows = [
            (user_id, now - day * n, "netra-large", project, *tokens, 120, 28_000_000, "ok") for n in range(days)
        ]  # fmt: skip
        if rows:
            async with await clickhouse_connect.get_async_client(dsn=self.logs_url, compress=False) as client:
                await client.insert("workload", rows, column_names=workload.COLUMNS)


@dataclass
class User:
    """Who signed up, and the tokens."""

    email: str
    user_id: str
    access: str
    refresh: str


@dataclass
class Worker:
    """A running worker."""

    port: int
    process: Any

    def http(self, user: User | None = None) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {user.access}"} if user else {}
        url = f"http://127.0.0.1:{self.port}"
        return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=SECONDS)

    async def sign_up(self, email: str | None = None) -> User:
        email = email or f"{uuid.uuid4().hex[:12]}@example.test"
        async with self.http() as http:
            answer = await http.post("/auth/signup", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        told = answer.json()
        return User(email, told["user_id"], told["access_token"], told["refresh_token"])

    @contextlib.asynccontextmanager
    async def socket(
        self, token: str | None, *, resume: int | None = 0, via: str = "header", **how: Any
    ) -> AsyncIterator["Client"]:
        """A connected client that has read its welcome and, unless `resume` is None, asked for what follows it."""
        given: dict[str, Any] = {"additional_headers": {"authorization": f"Bearer {token}"}} if token else {}
        if via == "subprotocol" and token is not None:
            coded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
            given = {"subprotocols": ["jwt-auth", f"jwt.{coded}"]}
        async with connect(f"ws://127.0.0.1:{self.port}/ws", proxy=None, **given, **how) as ws:
            client = Client(ws, await receive(ws))
            if resume is not None:
                await client.send("resume", {"last_seq": resume})
            yield client

    async def refused(self, token: str | None, via: str = "header") -> tuple[int, str]:
        """The close code and reason of a socket that is not let in."""
        async with self.socket(token, resume=None, via=via) as client:
            return await client.closed()

    async def alive(self) -> bool:
        async with self.http() as http:
            return (await http.get("/health/live")).status_code == 200


async def receive(ws: ClientConnection) -> Frame:
    """The next frame; a close becomes the frame {type: "closed"}."""
    try:
        async with asyncio.timeout(SECONDS):
            return json.loads(await ws.recv())  # type: ignore[no-any-return]
    except ConnectionClosed as closed:
        assert closed.rcvd is not None, "the connection broke without a close frame"
        return {"type": "closed", "code": closed.rcvd.code, "reason": closed.rcvd.reason}


class Client:
    """One socket; `frames` keeps all that came after the welcome."""

    def __init__(self, ws: ClientConnection, welcome: Frame) -> None:
        self.ws, self.welcome = ws, welcome
        self.frames: list[Frame] = []

    async def send(self, type_: str, payload: Mapping[str, Any] | None = None, **more: Any) -> None:
        frame = {"type": type_, **({} if payload is None else {"payload": payload}), **more}
        await self.ws.send(json.dumps(frame))

    async def say(self, text: str = "What does it cost?", **ids: str) -> str:
        """Send a chat message; its id."""
        message_id = ids.get("message_id", str(uuid.uuid4()))
        thread_id = ids.get("thread_id", str(uuid.uuid4()))
        await self.send("chat_message", {"text": text}, message_id=message_id, thread_id=thread_id)
        return message_id

    async def next(self) -> Frame:
        frame = await receive(self.ws)
        self.frames.append(frame)
        return frame

    async def until(self, *types: str, **data: Any) -> Frame:
        """The next frame of one of these types whose data hold this."""
        while True:
            frame = await self.next()
            assert frame["type"] != "closed" or "closed" in types, frame
            if frame["type"] in types and data.items() <= frame.get("data", {}).items():
                return frame

    async def answer(self) -> Frame:
        """The end of the next run."""
        return await self.until(*ENDS, agent_name="supervisor")

    async def chat(self, text: str = "What does it cost?", **ids: str) -> Frame:
        await self.say(text, **ids)
        return await self.answer()

    async def closed(self) -> tuple[int, str]:
        frame = self.welcome if self.welcome["type"] == "closed" else await self.until("closed")
        return frame["code"], frame["reason"]

    async def drop(self) -> None:
        """Lose the connection without a goodbye."""
        self.ws.transport.abort()
        await self.ws.wait_closed()

    @property
    def durable(self) -> list[Frame]:
        return [frame for frame in self.frames if frame.get("seq") is not None]

    @property
    def seqs(self) -> list[int]:
        return [frame["seq"] for frame in self.durable]
