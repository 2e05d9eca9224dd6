"""Values that Postgres holds, kept in Redis for a while; with Redis away each is read in Postgres."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable

from netra_sim.backend.store.redis import RedisStore

log = logging.getLogger("netra.cache")
Load = Callable[[], Awaitable[str]]

# Seconds that a value lives before scaling, by what it is (reference, section 7: 5 s to 5 min; a session 1 h). What is
# not here is read in Postgres each time: a thread's page must show its owner's last message at once.
LIVES: dict[str, float] = {
    "session_open": 5.0,  # asked about again after this, should a logout have missed Redis
    "session_revoked": 3600.0,
}
VERSION = "1"


class Cache:
    """One worker's way to cached values; misses on one key at the same time load it once."""

    def __init__(self, redis: RedisStore, scale: float) -> None:
        self._redis, self._scale = redis, scale
        self._loading: dict[str, asyncio.Task[str]] = {}

    async def get(self, key: str, load: Load, kind: Callable[[str], str]) -> str:
        """The value under `key`, loaded where Redis has none that is whole; `kind` names its life in LIVES."""
        raw = await self._redis.get(key)
        value = None if raw is None else opened(raw)
        if value is not None:
            return value
        if raw is not None:
            log.warning("a broken value was dropped", extra={"key": key})
            await self._redis.drop(key)
        return await self._loaded(key, load, kind)

    async def put(self, key: str, value: str, kind: str, *, if_absent: bool = False) -> None:
        """Write a value that was just stored; over another unless `if_absent`."""
        await self._redis.put(key, sealed(value), LIVES[kind] * self._scale, if_absent=if_absent)

    async def _loaded(self, key: str, load: Load, kind: Callable[[str], str]) -> str:
        if key not in self._loading:
            task = asyncio.create_task(self._fill(key, load, kind))
            self._loading[key] = task
            task.add_done_callback(lambda _: self._loading.pop(key))
        # Shielded: whoever asked first may leave, the others still wait for it.
        return await asyncio.shield(self._loading[key])

    async def _fill(self, key: str, load: Load, kind: Callable[[str], str]) -> str:
        value = await load()
        # Only where nothing stands: what was written since our reading is newer.
        await self.put(key, value, kind(value), if_absent=True)
        return value


def sealed(value: str) -> str:
    """A value as it is kept: version, checksum, value."""
    return f"{VERSION}:{zlib.crc32(value.encode()):08x}:{value}"


def opened(raw: bytes) -> str | None:
    """The value, or None for one that is truncated, corrupted or of another version."""
    version, _, rest = raw.partition(b":")
    checksum, _, value = rest.partition(b":")
    if version != VERSION.encode() or checksum != b"%08x" % zlib.crc32(value):
        return None
    return value.decode()
