"""A user's line to the platform: it connects, resumes, reconnects, and records every frame as it arrives.

A lost line is recorded as `disconnected` {connection, code}; code 1006 means that no close frame came. A reconnect that
is planned is recorded as `reconnect` {attempt from 0, backoff_s, at_most_s}, its delay and the longest it could be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from netra_sim.kernel.clock import Clock
from netra_sim.users import wire
from netra_sim.users.api import Api, Settings
from netra_sim.users.dial import Failure, Greeting, closed, dial
from netra_sim.users.persona import Persona
from netra_sim.users.record import Actor

NORMAL, ABNORMAL = 1000, 1006  # close codes of RFC 6455


class Line:
    """The line of one user: `run` keeps it up, `up` tells whether it is."""

    def __init__(
        self,
        *,
        settings: Settings,
        who: Persona,
        api: Api,
        actor: Actor,
        clock: Clock,
        chances: Random,
        on_frame: Callable[[wire.Frame], None],
        on_offline: Callable[[], None],
    ) -> None:
        """`chances` draws jitter; `on_frame` gets each frame once recorded, `on_offline` tells of a failed connect."""
        self._settings, self._who, self._api = settings, who, api
        self._actor, self._clock, self._chances = actor, clock, chances
        self._on_frame, self._on_offline = on_frame, on_offline
        self.up = asyncio.Event()
        self._ws: ClientConnection | None = None
        self._connection: str | None = None
        self._unacknowledged: dict[str, str] = {}
        self._last_seq: int | None = None
        self._resume_token: str | None = None

    async def run(self) -> Failure:
        """Keep the line up until the server refuses the user for good or ten attempts in a row failed; tells why."""
        attempt = 0
        while True:
            await self._api.renew()
            told = await self._connect()
            if isinstance(told, Greeting):
                attempt = 0
                told = await self._live(told)
            else:
                self._on_offline()
            if told.code == wire.EXPIRED:
                self._api.expired()
            elif told.code in wire.REFUSED:
                return told
            if attempt >= wire.TRIES:
                return told
            await self._clock.sleep(self._pause(attempt))
            attempt += 1

    def _pause(self, attempt: int) -> float:
        """Seconds until the next attempt, as recorded."""
        scale, chance = self._settings.time_scale, self._chances.random()
        pause = wire.backoff(attempt, chance) * scale if self._settings.backoff else 0.0
        at_most = wire.backoff(attempt, 1.0) * scale
        self._actor.seen("reconnect", attempt=attempt, backoff_s=round(pause, 6), at_most_s=at_most)
        return pause

    async def say(self, message_id: str, frame: str) -> None:
        """Send a message now if the line is up, and again at each reconnect until it is answered."""
        self._unacknowledged[message_id] = frame
        if self._ws is not None:
            await _send(self._ws, frame)

    def answered(self, message_id: str) -> None:
        """The message needs not be sent again."""
        self._unacknowledged.pop(message_id, None)

    def left(self) -> None:
        """Record that the user leaves while he may still be told something."""
        self._lost(NORMAL)

    async def acknowledge(self) -> None:
        """Tell the server how far the user is."""
        if self._ws is not None and self._last_seq is not None:
            await _send(self._ws, wire.ack(self._last_seq))

    def drop(self) -> None:
        """Break the connection without a word, as a lost network does."""
        if self._ws is not None:
            self._ws.transport.abort()

    async def _connect(self) -> Greeting | Failure:
        """One attempt, up to the welcome."""
        op = self._actor.invoke("connect", via=self._who.via, deadline_s=self._settings.deadline_s)
        told = await dial(self._settings, self._api.token, self._who.via)
        if isinstance(told, Failure):
            # A refusal that the server worded is a failure; silence after something was sent is not.
            refused = told.code is not None or not told.sent
            (op.fail if refused else op.unknown)(told.name, told.message, close_code=told.code)
            return told
        data = wire.parse(told.raw).data
        if data.get("event") != "connection_established":
            op.unknown("bad_answer", "the first frame was no welcome")
            told.ws.transport.abort()
            return Failure("bad_answer", "the first frame was no welcome", True)
        names = ("user_id", "connection_id", "config", "last_seq", "worker")
        op.ok(**{name: data.get(name) for name in names}, subprotocol=told.ws.subprotocol)
        return told

    async def _live(self, greeting: Greeting) -> Failure:
        """Resume, then read until the connection is lost."""
        ws, welcome = greeting.ws, wire.parse(greeting.raw).data
        replayed_to = int(welcome.get("last_seq") or 0)
        self._connection = connection = str(welcome.get("connection_id"))
        self._record(greeting.raw, connection, replayed_to)
        if self._last_seq is None:
            self._last_seq = replayed_to
        end = Failure("connection_lost", "", True)
        try:
            await ws.send(wire.resume(self._last_seq, self._resume_token))
            self._resume_token = welcome.get("resume_token")
            again = list(self._unacknowledged.values())  # what comes later is sent by `say`
            self._ws = ws
            self.up.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(_send_all(ws, again))
                while True:
                    self._record(await ws.recv(), connection, replayed_to)
        except* ConnectionClosed as lost:
            end = closed(_first(lost))
            self._lost(end.code or ABNORMAL)
        finally:
            self._ws = None
            self.up.clear()
            await ws.close()
        return end

    def _lost(self, code: int) -> None:
        if self._connection is not None:
            self._actor.seen("disconnected", connection=self._connection, code=code)
            self._connection = None

    def _record(self, raw: str | bytes, connection: str, replayed_to: int) -> None:
        frame = wire.parse(raw)
        self._actor.frame(
            frame,
            user_id=self._api.user_id,
            connection=connection,
            foreign=wire.foreign(raw, self._who.account.canary),
            replayed=frame.seq is not None and frame.seq <= replayed_to,
        )
        if frame.seq is not None and self._last_seq is not None:
            self._last_seq = max(self._last_seq, frame.seq)
        self._on_frame(frame)


async def _send_all(ws: ClientConnection, frames: list[str]) -> None:
    for frame in frames:
        await _send(ws, frame)


async def _send(ws: ClientConnection, frame: str) -> None:
    """Send on a socket that may be lost: the reader sees the loss, and what is unacknowledged is sent again."""
    try:
        await ws.send(frame)
    except ConnectionClosed:
        return


def _first(lost: BaseExceptionGroup[ConnectionClosed]) -> ConnectionClosed:
    error = lost.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
