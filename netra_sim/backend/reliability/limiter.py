"""Sends a minute by tier, counted in Redis over all workers; without Redis a message is let through."""

from __future__ import annotations

from netra_sim.backend.store.redis import RedisStore

MINUTE = 60.0


class Limiter:
    """A fixed window per user; scaled with time like every other life."""

    def __init__(self, redis: RedisStore, time_scale: float) -> None:
        self._redis = redis
        self._window = MINUTE * time_scale

    async def wait(self, user_id: str, limit: int) -> float:
        """0 when one more send is allowed, else the seconds until the window ends."""
        answer = await self._redis.count_in_window(f"sends:{user_id}", self._window)
        if answer is None:
            return 0.0
        count, left = answer
        return left if count > limit else 0.0
