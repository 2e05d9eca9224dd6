"""Redis under its policy: sessions, the fan-out between workers, each user's replay stream, counters.

Everything here is a copy or a hint: Postgres is behind it, so every failure has an answer (None, or a log line).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ClusterDownError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from netra_sim.backend.reliability.policy import Policy, Unavailable

T = TypeVar("T")
log = logging.getLogger("netra.redis")


def transient(error: BaseException) -> bool:
    """Connection trouble, time-outs and refusals of the server; a wrong command is a defect of ours."""
    if isinstance(error, ReadOnlyError | OutOfMemoryError | ClusterDownError):  # their texts come without the code
        return True
    if isinstance(error, ResponseError):
        return str(error).startswith(("BUSY", "MISCONF"))
    return isinstance(error, RedisError | OSError | TimeoutError)


class RedisStore:
    """One worker's Redis; every key carries the deployment's prefix."""

    def __init__(self, url: str, prefix: str, policy: Policy, kept: int) -> None:
        self.policy = policy
        self._prefix, self._kept = prefix, kept
        # Blocking: a burst beyond the pool waits (under the policy's timeout) instead of failing as an outage would.
        once = Retry(NoBackoff(), 0)
        pool = aioredis.BlockingConnectionPool.from_url(url, max_connections=64, timeout=None, retry=once)
        self._client = aioredis.Redis.from_pool(pool)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def get(self, key: str) -> bytes | None:
        """A value, or None when it is absent or Redis is away."""
        value: Any = await self._try(lambda: self._client.get(self._prefix + key))
        return None if value is None else bytes(value)

    async def put(self, key: str, value: str, seconds: float, *, if_absent: bool = False) -> None:
        """Set a value with its life."""
        life = max(1, round(seconds * 1000))
        await self._try(lambda: self._client.set(self._prefix + key, value, px=life, nx=if_absent))

    async def drop(self, key: str) -> None:
        """Remove a value."""
        await self._try(lambda: self._client.delete(self._prefix + key))

    async def count_in_window(self, key: str, seconds: float) -> tuple[int, float] | None:
        """How many calls this window has seen, this one included, and the seconds it has left; None without Redis."""

        async def call() -> tuple[int, float]:
            pipe = self._client.pipeline(transaction=False)
            pipe.incr(self._prefix + key)
            pipe.pexpire(self._prefix + key, max(1, round(seconds * 1000)), nx=True)  # a counter never lacks its end
            pipe.pttl(self._prefix + key)
            count, _, left = await pipe.execute()
            return int(count), max(int(left), 0) / 1000

        return await self._try(call)

    async def publish(self, user_id: str, frames: Sequence[tuple[int, bytes]]) -> bool:
        """Append durable frames (seq, JSON) to the user's stream and tell all workers; False when Redis is away."""

        async def call() -> bool:
            pipe = self._client.pipeline(transaction=False)
            for seq, frame in frames:
                fields: dict[Any, Any] = {b"f": frame}
                pipe.xadd(self._stream(user_id), fields, id=f"{seq}-0", maxlen=self._kept, approximate=True)
                pipe.publish(self._prefix + "events", b"%s %d %s" % (user_id.encode(), seq, frame))
            for answer in await pipe.execute(raise_on_error=False):
                # A later seq is there already: two workers write for one user. Readers see the hole and ask Postgres.
                if isinstance(answer, Exception) and "equal or smaller" not in str(answer):
                    raise answer
            return True

        return bool(await self._try(call))

    async def replay(self, user_id: str, after: int, most: int) -> list[tuple[int, bytes]] | None:
        """The first `most` frames behind `after` that the stream still holds, or None without Redis."""

        async def call() -> list[tuple[int, bytes]]:
            rows: Any = await self._client.xrange(self._stream(user_id), min=f"{after + 1}-0", count=most)
            return [(int(id_.split(b"-")[0]), fields[b"f"]) for id_, fields in rows]

        return await self._try(call)

    async def listen(self) -> AsyncIterator[tuple[str, int, bytes]]:
        """Published frames (user, seq, JSON) as they come; raises when the connection is lost."""
        async with self._client.pubsub(ignore_subscribe_messages=False) as channel:
            await channel.subscribe(self._prefix + "events")
            async for message in channel.listen():
                if message["type"] == "subscribe":
                    yield "", 0, b""  # from here on nothing is missed: the caller catches up
                elif message["type"] == "message":
                    user, seq, frame = message["data"].split(b" ", 2)
                    yield user.decode(), int(seq), frame

    async def ping(self) -> bool:
        """True when Redis answers."""
        return bool(await self._try(self._client.ping))

    def _stream(self, user_id: str) -> str:
        return f"{self._prefix}stream:{user_id}"

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await self.policy.run(call)
        except Unavailable as error:
            log.warning("redis is away", extra={"cause": error.cause})
            return None
