"""A small real platform for tests of the users: HTTP and WebSocket on one port, misbehaving on command."""

import asyncio
import base64
import contextlib
import socket
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

EVENTS = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")


@dataclass
class Platform:
    """The fields are the commands; the lists are what it saw."""

    login_failures: list[int] = field(default_factory=list)  # statuses answered before the first success
    refusals: list[dict[str, Any]] = field(default_factory=list)  # error frames before the first acceptance
    drop_after: list[int] = field(default_factory=list)  # durable frames before each connection is closed with 1012
    refuse_after_drop: int = 0  # connections after it that are closed with 1013
    close_with: list[int] = field(default_factory=list)  # close codes of connections, instead of a welcome
    duplicate: bool = False
    silent: bool = False  # accepts nothing
    endless: bool = False  # runs do not end
    holds_back: int = 0  # connections on which a run is accepted, and no more is told of it
    lets_all_in: bool = False
    leak: str = ""  # a text put into each event
    ending: str = "agent_completed"
    token_life_s: float = 900.0
    url: str = ""
    resumes: list[dict[str, Any]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    streams: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    runs: dict[str, str] = field(default_factory=dict)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/auth/{what}", self.auth, methods=["POST"]),
                Route("/threads/{thread}/messages", self.thread),
                WebSocketRoute("/ws", self.socket),
            ]
        )

    async def auth(self, request: Request) -> Response:
        what = request.path_params["what"]
        self.asked.append(what)
        if what == "logout":
            return Response(status_code=204)
        if self.login_failures:
            status = self.login_failures.pop(0)
            return JSONResponse({"code": f"told_{status}", "detail": "no"}, status, {"retry-after": "0.01"})
        body = await request.json()
        user = body.get("email") or body["refresh_token"]
        told = {"user_id": user, "tier": "mid", "access_token": f"good.{user}.signature", "refresh_token": user}
        return JSONResponse({**told, "expires_in": self.token_life_s}, 201 if what == "signup" else 200)

    async def thread(self, request: Request) -> Response:
        self.asked.append("history")
        answers = [{"role": "assistant", "text": self.leak, "run_id": run_id} for run_id in self.runs.values()]
        return JSONResponse({"messages": [{"role": "user", "text": self.leak}, *answers], "next": None})

    async def socket(self, ws: WebSocket) -> None:
        offered = ws.scope["subprotocols"]
        await ws.accept("jwt-auth" if "jwt-auth" in offered else None)
        user = _user(_token(ws, offered), self.lets_all_in)
        if user is None or self.close_with:
            await ws.close(4403 if user is None else self.close_with.pop(0), "token_invalid")
            return
        with contextlib.suppress(WebSocketDisconnect):
            await self.serve(ws, user)

    async def serve(self, ws: WebSocket, user: str) -> None:
        left = self.drop_after.pop(0) if self.drop_after else None
        held, self.holds_back = self.holds_back > 0, max(0, self.holds_back - 1)
        data = {"event": "connection_established", "connection_id": str(uuid.uuid4()), "user_id": user}
        data |= {"last_seq": len(self.streams[user]), "resume_token": "again", "worker": "w1", "config": {}}
        await ws.send_json({"type": "system_message", "seq": None, "data": data})
        first = await ws.receive_json()
        self.resumes.append(first["payload"])
        self.connected.set()
        sent = first["payload"]["last_seq"]
        while True:
            for frame in self.streams[user][sent:]:
                if held and frame["type"] != "message_accepted":
                    break
                if left == 0:
                    self.close_with += [1013] * self.refuse_after_drop
                    await ws.close(1012, "restarting")
                    return
                left = None if left is None else left - 1
                for _ in range(2 if self.duplicate else 1):
                    await ws.send_json(frame)
                sent += 1
            frame = await ws.receive_json()
            if frame["type"] == "chat_message":
                await self.take(ws, user, frame)

    async def take(self, ws: WebSocket, user: str, frame: dict[str, Any]) -> None:
        message_id = frame["message_id"]
        self.messages.append(message_id)
        if self.silent:
            return
        if self.refusals:
            await ws.send_json({"type": "error", "seq": None, **self.refusals.pop(0)})
            return
        if message_id in self.runs:
            data = {"message_id": message_id, "run_id": self.runs[message_id], "duplicate": True}
            await ws.send_json({"type": "message_accepted", "seq": None, "data": data})
            return
        self.runs[message_id] = run_id = str(uuid.uuid4())
        self.add(user, run_id, "message_accepted", {"message_id": message_id, "run_id": run_id, "duplicate": False})
        for type_ in (*EVENTS[:-1], *([] if self.endless else [self.ending])):
            self.add(user, run_id, type_, {"agent_name": "supervisor", "status": "completed", "note": self.leak})

    def add(self, user: str, run_id: str, type_: str, data: dict[str, Any]) -> None:
        stream = self.streams[user]
        run_seq = sum(f["run_id"] == run_id for f in stream) + 1
        frame = {"type": type_, "seq": len(stream) + 1, "run_id": run_id, "run_seq": run_seq, "thread_id": "t"}
        stream.append({**frame, "data": data})


def _token(ws: WebSocket, offered: list[str]) -> str:
    coded = next((p.removeprefix("jwt.") for p in offered if p.startswith("jwt.")), "")
    return (
        ws.headers.get("authorization", "").removeprefix("Bearer ") or base64.urlsafe_b64decode(coded + "==").decode()
    )


def _user(token: str, lets_all_in: bool) -> str | None:
    kind, _, rest = token.partition(".")
    good = kind == "good" and rest.endswith(".signature")
    return rest.removesuffix(".signature") if good else "anyone" if lets_all_in else None


@contextlib.asynccontextmanager
async def serving(platform: Platform) -> AsyncIterator[Platform]:
    """Run the platform on a free port of this event loop."""
    listener = socket.create_server(("127.0.0.1", 0))
    platform.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = _Server(uvicorn.Config(platform.app(), lifespan="off", log_level="error", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve([listener]))
    await server.ready.wait()
    try:
        yield platform
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self):
        yield  # signals stay pytest's
