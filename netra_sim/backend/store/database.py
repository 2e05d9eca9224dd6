"""Postgres under its policy: single statements, and a unit of work that rolls back unless committed."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg
import asyncpg.pool

from netra_sim.backend.reliability.policy import Policy, Unavailable

LOST = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError)
T = TypeVar("T")
_CLOSED = {"size": 0, "used": 0}
Connection = asyncpg.pool.PoolConnectionProxy
Work = Callable[[Connection], Awaitable[T]]

PASSING = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    OSError,
    TimeoutError,
)


def transient(error: BaseException) -> bool:
    """True when the same statement may succeed later: connection, overload, timeout, serialization failure."""
    if isinstance(error, asyncpg.InterfaceError):  # the client's words for a connection that went away under it
        return "connection" in str(error)
    return isinstance(error, PASSING)


class Database:
    """A bounded pool whose every use passes the Postgres policy."""

    def __init__(self, url: str, size: int, policy: Policy, connect_timeout: float) -> None:
        self._url, self._size, self._connect_timeout = url, size, connect_timeout
        self.policy = policy
        self.owner = secrets.randbits(63)  # of what this process begins: whoever listens holds a lock on it
        self._pool: asyncpg.Pool | None = None

    @property
    def usage(self) -> dict[str, int]:
        """The pool's open connections, and those of them in use."""
        pool = self._pool
        return {"size": pool.get_size(), "used": pool.get_size() - pool.get_idle_size()} if pool else _CLOSED

    async def open(self) -> None:
        """Make the pool; connections are opened as they are needed, and again when they were lost."""
        self._pool = await asyncpg.create_pool(
            self._url, min_size=0, max_size=self._size, timeout=self._connect_timeout, reset=_nothing_to_reset
        )

    async def close(self) -> None:
        """Drop every connection; what still runs is cut off."""
        if self._pool is not None:
            self._pool.terminate()

    async def fetch(self, sql: str, *values: Any, repeatable: bool = True) -> list[asyncpg.Record]:
        """All rows of one statement; `repeatable` says that running it twice does no harm."""
        return await self.run(lambda c: c.fetch(sql, *values), repeatable=repeatable)

    async def fetchrow(self, sql: str, *values: Any, repeatable: bool = True) -> asyncpg.Record | None:
        """The first row of one statement, or None."""
        return await self.run(lambda c: c.fetchrow(sql, *values), repeatable=repeatable)

    async def transaction(self, work: Work[T], *, repeatable: bool = False) -> T:
        """Run `work` as one unit: all of it is committed, or none.

        Unavailable is `unsure` when the answer to the commit was lost: then nobody knows which of the two.
        """
        unsure = False

        async def unit(connection: Connection) -> T:
            nonlocal unsure
            transaction = connection.transaction()
            await transaction.start()
            try:
                result = await work(connection)
            except Exception:  # not a cancellation: a rollback would wait for a server that may be stalled
                if not connection.is_closed():
                    await transaction.rollback()
                raise
            before, unsure = unsure, True
            try:
                await transaction.commit()
            except asyncpg.PostgresError as error:
                unsure = before or isinstance(error, LOST)  # any other is Postgres's word that it was not committed
                raise
            return result

        try:
            return await self.run(unit, repeatable=repeatable)
        except Unavailable as error:
            error.unsure = unsure
            raise

    async def run(self, work: Work[T], *, repeatable: bool = False) -> T:
        """Run `work` on a connection under the policy; Unavailable when Postgres cannot be used."""

        async def attempt() -> T:
            async with self._connection() as connection:
                return await work(connection)

        return await self.policy.run(attempt, repeatable=repeatable)

    async def notify(self, channel: str, payloads: Sequence[str]) -> None:
        """Send each payload (under 8000 bytes) to those who listen on the channel; all in one statement."""
        await self.fetch("SELECT pg_notify($1, told) FROM unnest($2::text[]) AS told", channel, list(payloads))

    async def listen(self, channel: str) -> AsyncIterator[str]:
        """Payloads notified on the channel as they come, after an empty one that says that listening has begun.

        The connection is none of the pool's; while it lasts, it holds the lock that says that `owner` is there. It
        raises what asyncpg does, or OSError, when that is lost, which a silent one is when it does not answer a
        question either.
        """
        connection = await asyncpg.connect(self._url, timeout=self._connect_timeout)
        heard: asyncio.Queue[str | None] = asyncio.Queue()
        try:
            connection.add_termination_listener(lambda _connection: heard.put_nowait(None))
            await connection.add_listener(channel, lambda *told: heard.put_nowait(str(told[-1])))
            await connection.execute("SELECT pg_advisory_lock_shared($1)", self.owner)
            yield ""
            while True:
                try:
                    async with asyncio.timeout(self._connect_timeout):
                        told = await heard.get()
                except TimeoutError:
                    await connection.fetchval("SELECT 1", timeout=self._connect_timeout)
                    continue
                if told is None:
                    raise ConnectionError("the connection that listens was lost")
                yield told
        finally:
            connection.terminate()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise RuntimeError("the database is not open")
        connection = await self._pool.acquire()
        try:
            yield connection
        except BaseException as error:
            if not isinstance(error, Exception) or isinstance(error, asyncpg.InterfaceError | OSError):
                connection.terminate()  # its state is unknown: a held answer must not reach the next caller
            raise
        finally:
            await self._pool.release(connection)


async def _nothing_to_reset(_connection: Any) -> None:
    """Transactions end with their unit and nothing sets session state, so a round trip is saved."""
