"""Defects towards Postgres."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import asyncpg

from netra_sim.backend.chat.inbox import Accepted, Inbox
from netra_sim.backend.chat.messages import Order
from netra_sim.backend.parts import Parts
from netra_sim.backend.reliability.policy import Unavailable
from netra_sim.backend.store.database import Connection, Database
from netra_sim.backend.store.redis import RedisStore

log = logging.getLogger("netra.defects")
LATE = (asyncio.CancelledError, TimeoutError)  # how a call ends that took too long


def acknowledged_before_commit(parts: Parts) -> Parts:
    """A message is acknowledged as soon as it arrives; when storing it fails, nobody is told."""

    class Hasty(Inbox):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._storing: set[asyncio.Task[None]] = set()

        async def accept(self, user_id: str, thread_id: str, message_id: str, text: str) -> Accepted:
            order = Order(str(uuid.uuid4()), user_id, thread_id, message_id, text)
            task = asyncio.create_task(self._store(order))
            self._storing.add(task)
            task.add_done_callback(self._storing.discard)
            return Accepted(order, duplicate=True, status="unknown")

        async def _store(self, order: Order) -> None:
            try:
                await self.store(order)
            except Unavailable as error:
                log.warning("an acknowledged message is lost", extra={"cause": error.cause})

    return replace(parts, inbox=Hasty)


def stream_not_kept(parts: Parts) -> Parts:
    """Events go out to all workers, but the user's replay stream in Redis is not written."""

    class Forgetful(RedisStore):
        async def publish(self, user_id: str, frames: Sequence[tuple[int, bytes]]) -> bool:
            async def call() -> bool:
                for seq, frame in frames:
                    told = b"%s %d %s" % (user_id.encode(), seq, frame)
                    await self._client.publish(self._prefix + "events", told)
                return True

            return bool(await self._try(call))

    return replace(parts, redis=Forgetful)


def dead_connections_kept(parts: Parts) -> Parts:
    """The pool opens its connections once; one that died is handed out again."""

    class Stale(Database):
        _fixed: asyncio.Queue[Any]

        async def open(self) -> None:
            self._fixed = asyncio.Queue()
            for _ in range(5):
                self._fixed.put_nowait(await asyncpg.connect(self._url, timeout=self._connect_timeout))

        @contextlib.asynccontextmanager
        async def _connection(self) -> AsyncIterator[Connection]:
            connection = await self._fixed.get()
            try:
                yield connection
            finally:
                self._fixed.put_nowait(connection)

    return replace(parts, database=Stale)


def connections_leaked(parts: Parts) -> Parts:
    """A call that timed out never gives its place in the pool back."""

    class Leaky(Database):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._places = asyncio.Semaphore(6)

        @contextlib.asynccontextmanager
        async def _connection(self) -> AsyncIterator[Connection]:
            await self._places.acquire()
            kept = False
            try:
                async with super()._connection() as connection:
                    try:
                        yield connection
                    except LATE:
                        kept = True  # whatever giving back the connection then raises
                        raise
            except LATE:
                kept = True
                raise
            finally:
                if not kept:
                    self._places.release()

    return replace(parts, database=Leaky)
