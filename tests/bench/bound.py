"""The golden path's lower bound: one hand-written process that does a run's input and output, and nothing else.

It has what the real worker has on its wires, in the same order and with the same things side by side: the token check
of a connection; a send's limiter pipeline; each journal entry as one statement, one commit and then one pipeline of
XADD and PUBLISH; every completion asked of the same model server with the same body, streamed; the tools' questions to
ClickHouse, each with the worker's statement, bound values and format; the fan-out subscription; every frame to the
client. It has nothing of what makes the worker a product: no ASGI server, no validation of frames and answers, no
policies (deadline, retry, breaker, timeout, budget), no state machine, no failure path, no buffers for slow clients, no
HTTP API, no log. Its wires are bare protocols (raw.py) on uvloop.

It is a lower bound because each of these omissions saves work while none of the input and output is saved;
tests/service/test_bound.py compares the two counts. The SQL and the agents' texts are the worker's own constants, so
that the two cannot drift apart unnoticed. Who changes what a run reads or writes changes this file.

`python -m tests.bench.bound` takes the same NETRA_* variables as the worker and announces itself in the same way.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import traceback
import uuid
from collections import defaultdict
from typing import Any
from urllib.parse import urlencode, urlsplit

import asyncpg
import orjson

from netra_sim.backend.agents.specs import AGENTS, ROUTES, route_for
from netra_sim.backend.agents.tools import TOOLS, offered
from netra_sim.backend.chat.inbox import _ACCEPT
from netra_sim.backend.chat.journal import _WRITE
from netra_sim.backend.config import Settings, from_environment
from netra_sim.backend.identity.tokens import Key, Tokens
from netra_sim.backend.reliability.cache import opened, sealed
from netra_sim.backend.store.columns import FORMAT
from tests.bench.raw import Command, Http, Redis, WebSocket

Data = dict[str, Any]
_LAST = "SELECT last_seq FROM users WHERE id = $1"


class Bound:
    """The stores, the model server and the sockets."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.free: asyncio.LifoQueue[asyncpg.Connection] = asyncio.LifoQueue()
        self._idle: list[Http] = []
        self._asking: list[Http] = []
        self._sockets: dict[str, set[WebSocket]] = defaultdict(set)
        self._tasks: set[asyncio.Task[None]] = set()
        self._llm, self._logs = urlsplit(settings.llm_url), urlsplit(settings.clickhouse_url)

    async def open(self) -> None:
        """Connect to everything."""
        s = self.settings
        for _ in range(s.pool_size):
            self.free.put_nowait(await asyncpg.connect(s.postgres_url))
        self.redis = await Redis.open(s.redis_url)
        fan_out = await Redis.open(s.redis_url, self._published)
        await fan_out.ask(("SUBSCRIBE", s.redis_prefix + "events"))
        sql = "SELECT kid, private_pem FROM signing_keys WHERE retired_at IS NULL ORDER BY created_at"
        self._tokens = Tokens([Key.from_pem(row["kid"], row["private_pem"]) for row in await self.fetch(sql)], s)

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        """All rows of one statement."""
        connection = await self.free.get()
        try:
            return await connection.fetch(sql, *values)
        finally:
            self.free.put_nowait(connection)

    async def fetchrow(self, sql: str, *values: Any) -> Any:
        """The first row of one statement."""
        connection = await self.free.get()
        try:
            return await connection.fetchrow(sql, *values)
        finally:
            self.free.put_nowait(connection)

    async def rows(self, sql: str, **values: Any) -> list[Data]:
        """All rows of a ClickHouse query: what the worker's tools ask, asked as its client does."""
        one = self._asking.pop() if self._asking else await Http.open(self.settings.clickhouse_url, self._asking)
        given = {"database": self._logs.path[1:], "wait_end_of_query": 1} | {f"param_{k}": v for k, v in values.items()}
        head = f"POST /?{urlencode(given)} HTTP/1.1\r\nHost: {self._logs.netloc}\r\n"
        answer = await one.ask(head.encode(), f"{sql}\n FORMAT {FORMAT}".encode())
        return [orjson.loads(line) for line in answer.splitlines()]

    async def publish(self, user: str, frames: list[tuple[int, bytes]]) -> None:
        """Hand committed frames to the sockets here, then to Redis."""
        prefix, commands = self.settings.redis_prefix, list[Command]()
        for seq, frame in frames:
            for socket in self._sockets[user]:
                socket.offer(seq, frame)
            kept = str(self.settings.replay_kept)
            commands.append(("XADD", f"{prefix}stream:{user}", "MAXLEN", "~", kept, f"{seq}-0", "f", frame))
            commands.append(("PUBLISH", prefix + "events", b"%s %d %s" % (user.encode(), seq, frame)))
        await self.redis.ask(*commands)

    async def complete(self, request: Data, draw: str) -> tuple[str, list[list[str]]]:
        """The text and the tool calls of a streamed completion."""
        one = self._idle.pop() if self._idle else await Http.open(self.settings.llm_url, self._idle)
        body = {**request, "model": self.settings.primary_model, "stream": True}
        head = (
            f"POST {self._llm.path}/chat/completions HTTP/1.1\r\nHost: {self._llm.netloc}\r\n"
            f"Authorization: Bearer {self.settings.llm_key}\r\nContent-Type: application/json\r\n"
            f"x-netra-draw: {draw}/1\r\n"
        )
        return _completion(
            await one.ask(head.encode(), orjson.dumps({**body, "stream_options": {"include_usage": True}}))
        )

    def opened(self, socket: WebSocket, token: str) -> None:
        """A connection's token."""
        self._begin(self._welcome(socket, token))

    def said(self, socket: WebSocket, text: bytes) -> None:
        """A client's frame."""
        frame = orjson.loads(text)
        if frame["type"] == "chat_message":
            self._begin(self._chat(socket, frame))
        elif frame["type"] == "resume":
            self._begin(self._resume(socket, frame["payload"]["last_seq"]))

    def closed(self, socket: WebSocket) -> None:
        """A connection has gone."""
        self._sockets[socket.user].discard(socket)

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """It has no failure path: whatever goes wrong ends the process, and with it the measurement."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            traceback.print_exception(error)
            os._exit(1)

    async def _welcome(self, socket: WebSocket, token: str) -> None:
        who = self._tokens.verify(token)
        key = f"{self.settings.redis_prefix}session:{who.session_id}"
        (open_,) = await self.redis.ask(("GET", key))
        if open_ is None or opened(open_) != "open":
            await self.fetchrow("SELECT revoked_at FROM sessions WHERE id = $1", who.session_id)
            await self.redis.ask(("SET", key, sealed("open"), "PX", 5000, "NX"))
        last = (await self.fetchrow(_LAST, who.user_id))["last_seq"]
        socket.user = who.user_id
        self._sockets[who.user_id].add(socket)
        data = {"event": "connection_established", "user_id": who.user_id, "last_seq": last}
        socket.send(orjson.dumps({"type": "system_message", "seq": None, "data": data}))

    async def _resume(self, socket: WebSocket, last: int) -> None:
        await self.fetchrow(_LAST, socket.user)
        socket.position = last
        socket.resumed.set()

    async def _chat(self, socket: WebSocket, frame: Data) -> None:
        await socket.resumed.wait()
        user = socket.user
        key = f"{self.settings.redis_prefix}sends:{user}"
        await self.redis.ask(("INCRBY", key, "1"), ("PEXPIRE", key, 60_000, "NX"), ("PTTL", key))
        run = Run(self, user, frame)
        await run.accept()
        await run.work()

    def _published(self, message: list[bytes]) -> None:
        user, seq, frame = message[2].split(b" ", 2)
        for socket in self._sockets[user.decode()]:
            socket.offer(int(seq), frame)


class Run:
    """One run, straight through."""

    def __init__(self, bound: Bound, user: str, frame: Data) -> None:
        self._b, self._user, self._id = bound, user, str(uuid.uuid4())
        self._thread, self._message, self._text = frame["thread_id"], frame["message_id"], frame["payload"]["text"]
        self._run_seq, self._turn = 0, asyncio.Lock()
        self._known: Data = {}
        self._begun = time.monotonic()

    async def accept(self) -> None:
        """The message, its run and its acknowledgement."""
        data = {"message_id": self._message, "run_id": self._id, "duplicate": False}
        worker = self._b.settings.worker
        told = (self._id, self._user, self._thread, self._message, self._text, worker, orjson.dumps(data).decode())
        row = await self._b.fetchrow(_ACCEPT, *told)
        await self._b.publish(
            self._user, [(row["last_seq"], self._frame("message_accepted", data, row["last_seq"], 0))]
        )

    async def work(self) -> None:
        """From the first event to the last."""
        await self._write([self._event("agent_started", status="started", message="Working on your question")],
                          move=("pending", "starting"))  # fmt: skip
        await self._write([self._thought("supervisor", "Asking triage what the question needs", 1, 5)],
                          move=("starting", "running"))  # fmt: skip
        await self._agent("triage")
        name = route_for(self._known["triage"]["completeness"])
        await self._write([self._thought("supervisor", f"Taking the {name} route", 2, 20)], route=name)
        await self._schedule(name)
        await self._write([self._thought("supervisor", "Summing up", 3, 95)], move=("running", "completing"))
        answer = {**self._known.get("optimization", {}), **self._known["reporting"], "route": name}
        answer |= {"partial": name != "sufficient", "missing": [], "by": "primary"}
        done = self._event("agent_completed", status="completed", result=answer, execution_time_ms=self._took())
        text = self._known["reporting"]["summary"]
        await self._write([done], move=("completing", "completed"), point=("supervisor", answer), text=text)

    async def _schedule(self, route: str) -> None:
        if route == "partial":
            await asyncio.gather(self._agent("data_helper"), self._agent("data"))
            await self._agent("reporting")
        else:
            for name in ROUTES[route]:
                await self._agent(name)

    async def _agent(self, name: str) -> None:
        agent = AGENTS[name]
        started = self._event("agent_started", name, status="started", message=agent.prompt)
        await self._write([started, self._thought(name, "Reading the question", 1, 10)])
        found = orjson.dumps(self._known).decode()
        talk = [{"role": "system", "content": f"{agent.prompt} Found so far: {found}"},
                {"role": "user", "content": self._text}]  # fmt: skip
        draw = f"{self._user}/{self._message}/{name}"
        if agent.tools:
            request = {"messages": talk, "tools": offered(agent.tools), "tool_choice": "required"}
            _, calls = await self._b.complete(request, f"{draw}/tools")
            outcomes = await asyncio.gather(*(self._tool(name, *call) for call in calls))
            await self._write([self._thought(name, "Weighing what the tools found", 2, 60)])
            asked = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
            talk.append({"role": "assistant", "content": None, "tool_calls": asked})
            talk += [{"role": "tool", "tool_call_id": call[0], "content": orjson.dumps(outcome).decode()}
                     for call, outcome in zip(calls, outcomes, strict=True)]  # fmt: skip
        form = {"type": "json_schema", "json_schema": {"name": name, "schema": agent.schema()}}
        text, _ = await self._b.complete({"messages": talk, "response_format": form}, f"{draw}/answer")
        result = self._known[name] = orjson.loads(text)
        done = self._event("agent_completed", name, status="completed", result=result, by="primary",
                           execution_time_ms=self._took())  # fmt: skip
        await self._write([done], point=(name, result))

    async def _tool(self, agent: str, id_: str, name: str, arguments: str) -> Data:
        """The tools are the worker's own functions, over this process's bare connections."""
        told = {"tool_name": name, "call_id": id_}
        await self._write([self._event("tool_executing", agent, **told, parameters=orjson.loads(arguments))])
        result = await TOOLS[name](self._b, self._user)  # type: ignore[arg-type]
        done = self._event("tool_completed", agent, **told, result=result, execution_time_ms=self._took())
        await self._write([done])
        return result

    async def _write(
        self, events: list[tuple[str, Data]], move: tuple[str | None, str | None] = (None, None),
        point: tuple[str, Data] | None = None, text: str | None = None, route: str | None = None,
    ) -> None:  # fmt: skip
        """One journal entry: a statement, its commit, then its frames."""
        agent, result = (point[0], orjson.dumps(point[1]).decode()) if point else (None, None)
        async with self._turn:
            first, self._run_seq = self._run_seq, self._run_seq + len(events)
            row = await self._b.fetchrow(
                _WRITE, self._id, self._user, self._thread, *move, route, move[1] == "completed", first,
                [type_ for type_, _ in events], [orjson.dumps(data).decode() for _, data in events],
                agent, result, text, str(uuid.uuid4()), None,
            )  # fmt: skip
        base = row["base"]
        frames = [(base + n, self._frame(*event, base + n, first + n)) for n, event in enumerate(events, start=1)]
        await self._b.publish(self._user, frames)

    def _frame(self, type_: str, data: Data, seq: int, run_seq: int) -> bytes:
        return orjson.dumps({
            "type": type_, "seq": seq, "run_id": self._id, "run_seq": run_seq, "thread_id": self._thread,
            "data": data, "timestamp": time.time(), "correlation_id": self._id,
        })  # fmt: skip

    def _event(self, type_: str, agent: str = "supervisor", **data: Any) -> tuple[str, Data]:
        return type_, {"agent_name": agent, **data}

    def _thought(self, agent: str, words: str, step: int, percent: int) -> tuple[str, Data]:
        more = {"reasoning": words, "step_number": step, "progress_percentage": percent}
        return self._event("agent_thinking", agent, **more)

    def _took(self) -> float:
        return round((time.monotonic() - self._begun) * 1000, 3)


def _completion(body: bytes) -> tuple[str, list[list[str]]]:
    text, calls = "", dict[int, list[str]]()
    for line in body.split(b"\n"):
        if not line.startswith(b"data: {"):
            continue
        for choice in orjson.loads(line[6:])["choices"]:
            delta = choice["delta"]
            text += delta.get("content") or ""
            for part in delta.get("tool_calls") or ():
                call, function = calls.setdefault(part["index"], ["", "", ""]), part["function"]
                call[0] = part.get("id") or call[0]
                call[1] = function.get("name") or call[1]
                call[2] += function.get("arguments") or ""
    return text, list(calls.values())


async def _serve() -> None:
    settings = from_environment()
    bound = Bound(settings)
    await bound.open()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: WebSocket(bound.opened, bound.said, bound.closed), settings.host, settings.port
    )
    print(json.dumps({"ready": True, "port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve())
