"""Defects of what stands beside Postgres: the cache, the fan-out, the replay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from redis.exceptions import ConnectionError as RedisConnectionError

from netra_sim.backend.chat.bell import Bell
from netra_sim.backend.chat.hub import Hub
from netra_sim.backend.chat.socket import Socket
from netra_sim.backend.parts import Parts
from netra_sim.backend.reliability.cache import Cache, Load
from netra_sim.backend.reliability.policy import Unavailable
from netra_sim.backend.store.redis import RedisStore

T = TypeVar("T")
KEPT = (b'"supervisor"', b'"message_accepted"')  # without these the client would wait for ever


def cache_required(parts: Parts) -> Parts:
    """What the cache does not answer is not looked up in Postgres: without Redis requests fail."""

    class Required(Cache):
        async def get(self, key: str, load: Load, kind: Callable[[str], str]) -> str:
            if not await self._redis.ping():
                raise Unavailable("redis", 1, "the cache does not answer", self._redis.policy.pause)
            return await super().get(key, load, kind)

    return replace(parts, cache=Required)


def redis_only_fanout(parts: Parts) -> Parts:
    """Events reach other workers through Redis or not at all: no NOTIFY, no look."""

    class Mute(Bell):
        def ring(self, user_id: str, seq: int) -> None:
            """Nobody is told."""

    class Blind(Hub):
        async def watch(self) -> None:
            await asyncio.Event().wait()

    return replace(parts, bell=Mute, hub=Blind)


def redis_given_up(parts: Parts) -> Parts:
    """A worker that has lost Redis once never asks it again: it needs a restart."""

    class Resigned(RedisStore):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._lost = False

        async def _try(self, call: Callable[[], Awaitable[T]]) -> T | None:
            answer = await super()._try(_refused if self._lost else call)
            self._lost = self._lost or self.policy.breaker.state == "open"
            return answer

    return replace(parts, redis=Resigned)


def replay_incomplete(parts: Parts) -> Parts:
    """Of what the store replays after a reconnect, only the supervisor's events are shown."""

    class Forgetful(Socket):
        _replaying = False

        async def _replay(self) -> None:
            self._replaying = True
            try:
                await super()._replay()
            finally:
                self._replaying = False

        def durable(self, seq: int, frame: bytes) -> None:
            if not self._replaying or any(word in frame for word in KEPT):
                super().durable(seq, frame)

    return replace(parts, socket=Forgetful)


async def _refused() -> Any:
    raise RedisConnectionError("given up")
