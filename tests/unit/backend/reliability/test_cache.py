"""The cache: Redis first, then the store; what is broken is rebuilt; misses at once load once."""

import asyncio
from typing import Any

import pytest

from netra_sim.backend.reliability.cache import LIVES, Cache, opened, sealed


class Redis:
    """A store in memory; `away` answers as the real one does without its server."""

    def __init__(self, **held: bytes) -> None:
        self.held, self.lives, self.away = dict(held), dict[str, float](), False

    async def get(self, key: str) -> bytes | None:
        return None if self.away else self.held.get(key)

    async def put(self, key: str, value: str, seconds: float, *, if_absent: bool = False) -> None:
        if not self.away and not (if_absent and key in self.held):
            self.held[key], self.lives[key] = value.encode(), seconds

    async def drop(self, key: str) -> None:
        self.held.pop(key, None)


class Source:
    """Postgres: how often it was asked, and a gate."""

    def __init__(self, value: str = "open") -> None:
        self.value, self.asked, self.gate = value, 0, asyncio.Event()
        self.gate.set()

    async def __call__(self) -> str:
        self.asked += 1
        await self.gate.wait()
        return self.value


def kind(value: str) -> str:
    return f"session_{value}"


def cache(redis: Redis) -> Cache:
    return Cache(redis, 0.1)  # type: ignore[arg-type]


async def test_a_miss_is_loaded_and_kept_for_its_life():
    redis, source = Redis(), Source()
    assert await cache(redis).get("k", source, kind) == "open"
    assert redis.lives["k"] == LIVES["session_open"] * 0.1
    assert await cache(redis).get("k", source, kind) == "open"
    assert source.asked == 1


async def test_without_redis_the_store_is_asked_each_time():
    redis, source = Redis(), Source()
    redis.away = True
    assert [await cache(redis).get("k", source, kind) for _ in range(2)] == ["open", "open"]
    assert source.asked == 2


WHOLE = sealed("open").encode()


@pytest.mark.parametrize("broken", [b"", b"open", b"1:00000000:open", WHOLE[:-1], b"2" + WHOLE[1:]])
async def test_a_broken_value_is_dropped_and_rebuilt(broken: bytes):
    redis, source = Redis(k=broken), Source("revoked")
    assert await cache(redis).get("k", source, kind) == "revoked"
    assert redis.held["k"] == sealed("revoked").encode()


async def test_what_was_written_meanwhile_stays():
    redis, source = Redis(), Source("open")
    source.gate.clear()
    asked = asyncio.create_task(cache(redis).get("k", source, kind))
    await asyncio.sleep(0)
    await cache(redis).put("k", "revoked", "session_revoked")
    source.gate.set()
    assert await asked == "open"
    assert opened(redis.held["k"]) == "revoked"


async def test_misses_at_once_load_once_even_when_the_first_leaves():
    redis, source = Redis(), Source()
    source.gate.clear()
    one = cache(redis)
    asked: list[asyncio.Task[Any]] = [asyncio.create_task(one.get("k", source, kind)) for _ in range(5)]
    for _ in range(3):
        await asyncio.sleep(0)
    asked[0].cancel()
    source.gate.set()
    assert await asyncio.gather(*asked[1:]) == ["open"] * 4
    assert source.asked == 1
