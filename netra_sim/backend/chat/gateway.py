"""The WebSocket endpoint `/ws`, spoken directly in ASGI to keep frameworks off the hot path."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from netra_sim.backend.chat import frames
from netra_sim.backend.chat.hub import Hub
from netra_sim.backend.chat.inbox import Inbox
from netra_sim.backend.chat.messages import Runs
from netra_sim.backend.chat.socket import Socket
from netra_sim.backend.config import MESSAGE_BYTES, SENDS_PER_MINUTE, Settings
from netra_sim.backend.errors import PlatformError
from netra_sim.backend.http import as_platform_error, bearer
from netra_sim.backend.identity.messages import Authenticate, Principal
from netra_sim.backend.reliability.deadline import deadline
from netra_sim.backend.reliability.limiter import Limiter
from netra_sim.backend.reliability.policy import Unavailable
from netra_sim.backend.reliability.together import first
from netra_sim.backend.store.database import Database

log = logging.getLogger("netra.gateway")
SUBPROTOCOL = "jwt-auth"
FAREWELL = 1.0  # seconds that a close frame may wait for a client that does not read
Welcome = Callable[[Settings, Principal, str, int], dict[str, Any]]


class Standing(Protocol):
    """How the platform is, as users are told."""

    def level(self) -> str:
        """normal, partial, degraded or minimal."""
        ...

    def refuses(self) -> float:
        """Seconds for which no new run is taken; 0 when it is."""
        ...


Credentials = Callable[[Scope], tuple[str | None, str | None]]


def credentials(scope: Scope) -> tuple[str | None, str | None]:
    """The token and the subprotocol to select: from the Authorization header, or from `jwt.<base64url token>`."""
    offered: list[str] = list(scope.get("subprotocols", []))
    selected = SUBPROTOCOL if SUBPROTOCOL in offered else None
    headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
    if (token := bearer(headers)) is not None:
        return token, selected
    coded = next((p.removeprefix("jwt.") for p in offered if p.startswith("jwt.")), None)
    return None if coded is None else _decode(coded), selected


def welcome(settings: Settings, who: Principal, connection_id: str, last_seq: int) -> dict[str, Any]:
    """The first frame's data: who is connected, where the stream stands, and the limits that hold."""
    return {
        "event": "connection_established",
        "connection_id": connection_id,
        "user_id": who.user_id,
        "server_time": settings.wall(),
        "resume_token": connection_id,
        "last_seq": last_seq,
        "worker": settings.worker,
        "config": {
            "heartbeat_s": settings.scaled(settings.heartbeat),
            "max_message_bytes": MESSAGE_BYTES[who.tier],
            "rate_limit_per_minute": SENDS_PER_MINUTE[who.tier],
            "idle_timeout_s": settings.scaled(settings.idle_timeout),
        },
    }


@dataclass(frozen=True)
class Gateway:
    """Signs sockets in, answers their frames, and keeps each one's stream going."""

    settings: Settings
    database: Database
    authenticate: Authenticate
    hub: Hub
    inbox: Inbox
    runs: Runs
    limiter: Limiter
    socket: type[Socket]
    welcome: Welcome
    credentials: Credentials
    standing: Standing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until either side closes it."""
        await receive()  # websocket.connect
        token, subprotocol = self.credentials(scope)
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        try:
            who, last_seq = await self._sign_in(token)
        except Exception as error:
            await _close(send, error)
            return
        await _Connection(self, who, receive, send).serve(last_seq)

    async def _sign_in(self, token: str | None) -> tuple[Principal, int]:
        seconds = self.settings.scaled(self.settings.authentication_timeout)
        with deadline(self.settings.scaled(self.settings.request_deadline)):
            try:
                async with asyncio.timeout(seconds):
                    who = await self.authenticate(token)
                    row = await self.database.fetchrow("SELECT last_seq FROM users WHERE id = $1", who.user_id)
            except TimeoutError as error:
                raise PlatformError("auth_timeout") from error
        if row is None:
            raise PlatformError("token_invalid", reason="its user does not exist")
        return who, row["last_seq"]


class _Connection:
    """One signed-in socket."""

    def __init__(self, gateway: Gateway, who: Principal, receive: Receive, send: Send) -> None:
        self._g, self._who, self._receive, self._raw = gateway, who, receive, send
        self._id = str(uuid.uuid4())
        s = gateway.settings
        self._socket = gateway.socket(self._send, self._read, s.outbound_frames, s.outbound_burst)

    async def serve(self, last_seq: int) -> None:
        """Welcome the client, then read and write until one of the two ends."""
        data = self._g.welcome(self._g.settings, self._who, self._id, last_seq)
        data["level"] = self._g.standing.level()
        self._g.hub.add(self._who.user_id, self._socket)
        try:
            await self._send(frames.ephemeral("system_message", data))
            async with asyncio.timeout(self._token_life()):
                await self._both_ways()
        except TimeoutError:
            await _close(self._raw, PlatformError("token_expired"))
        except Exception as error:
            await _close(self._raw, error)
        finally:
            self._g.hub.remove(self._who.user_id, self._socket)

    async def _both_ways(self) -> None:
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self._socket.write())
            await self._read_all()
            writer.cancel()

    async def _read_all(self) -> None:
        idle = self._g.settings.scaled(self._g.settings.idle_timeout)
        while True:
            try:
                async with asyncio.timeout(idle):
                    message = await self._receive()
            except TimeoutError as error:
                raise PlatformError("idle") from error
            if message["type"] == "websocket.disconnect":
                return
            await self._answer(message.get("text") or message.get("bytes") or "")

    async def _answer(self, text: str | bytes) -> None:
        """One client frame; whatever is wrong with it is told in an error frame, and the socket stays open."""
        correlation = None
        try:
            if len(text if isinstance(text, bytes) else text.encode()) > MESSAGE_BYTES[self._who.tier]:
                raise PlatformError("message_too_large", limit_bytes=MESSAGE_BYTES[self._who.tier])
            frame = frames.parse(text)
            correlation = str(frame.message_id) if frame.message_id else None
            with deadline(self._g.settings.scaled(self._g.settings.request_deadline)):
                await self._handle(frame)
        except Exception as error:
            told = as_platform_error(error)
            if told.code == "internal":
                log.exception("frame failed", extra={"connection": self._id})
            if correlation:
                told.facts.setdefault("message_id", correlation)
            self._socket.tell(frames.error(told, correlation))
            if told.entry.close:
                await self._socket.drain()
                raise told from error

    async def _handle(self, frame: frames.ClientFrame) -> None:
        if isinstance(frame, frames.Resume):
            await self._resume(frame.payload.last_seq)
        elif isinstance(frame, frames.Ping):
            self._socket.tell(frames.ephemeral("pong", {}))
        elif not self._socket.resumed:
            raise PlatformError("not_resumed", field="type")
        elif isinstance(frame, frames.ChatMessage):
            await self._chat(frame)

    async def _resume(self, last_seq: int) -> None:
        """Go on behind `last_seq`; with the store away it is taken at its word, and the hub looks again later."""
        try:
            newest = await self._newest()
        except Unavailable:
            newest = last_seq
        if last_seq > newest:
            detail = f"payload.last_seq: the stream ends at {newest}"
            raise PlatformError("bad_frame", field="payload.last_seq", detail=detail)
        self._socket.resume(last_seq)
        self._socket.newest(newest)

    async def _chat(self, frame: frames.ChatMessage) -> None:
        limit = SENDS_PER_MINUTE[self._who.tier]
        if wait := await self._g.limiter.wait(self._who.user_id, limit):
            raise PlatformError("rate_limited", retry_after_s=round(wait, 3), limit_per_minute=limit)
        if wait := self._g.standing.refuses():
            raise PlatformError("minimal_service", retry_after_s=round(wait, 3))
        if not self._g.runs.has_room():
            raise PlatformError("too_many_runs", retry_after_s=1)
        accepted = await self._g.inbox.accept(
            self._who.user_id, str(frame.thread_id), str(frame.message_id), frame.payload.text
        )
        if accepted.duplicate:
            data = {"message_id": str(frame.message_id), "run_id": accepted.order.run_id, "duplicate": True}
            self._socket.tell(frames.ephemeral("message_accepted", data))
        if accepted.status == "pending":
            self._g.runs.start(accepted.order)

    async def _newest(self) -> int:
        row = await self._g.database.fetchrow("SELECT last_seq FROM users WHERE id = $1", self._who.user_id)
        return int(row["last_seq"]) if row else 0

    async def _read(self, position: int) -> list[tuple[int, bytes]]:
        return await self._g.hub.after(self._who.user_id, position)

    async def _send(self, frame: bytes) -> None:
        await self._raw({"type": "websocket.send", "text": frame.decode()})

    def _token_life(self) -> float:
        return max(0.0, self._who.expires - self._g.settings.wall())


async def _close(send: Send, error: Exception) -> None:
    """Close with the error's own code, unless it says that the client has gone."""
    error = first(error)
    if isinstance(error, OSError):
        log.info("client gone", extra={"cause": repr(error)})
        return
    told = as_platform_error(error)
    if told.code == "internal":
        log.error("socket failed", exc_info=error)
    with contextlib.suppress(OSError):  # the client may go first, or (TimeoutError) read nothing any more
        code = told.entry.close or (1013 if told.entry.status == 503 else 1011)
        async with asyncio.timeout(FAREWELL):
            await send({"type": "websocket.close", "code": code, "reason": told.code})


def _decode(coded: str) -> str:
    try:
        return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode("ascii")
    except ValueError:  # not base64, or not ASCII on either side of it
        return "malformed"  # verified like any other token, and refused like it
