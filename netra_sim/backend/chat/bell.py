"""Tells the other workers through Postgres how far a user's stream reaches, while Redis does not (LISTEN/NOTIFY)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import asyncpg

from netra_sim.backend.reliability.policy import Unavailable
from netra_sim.backend.store.database import Database
from netra_sim.kernel.clock import Clock

log = logging.getLogger("netra.bell")
CHANNEL = "netra_streams"  # channels are the database's own, so deployments do not hear each other
Newest = Callable[[str, int], None]


class Bell:
    """Rung after a commit that Redis did not carry; what is rung meanwhile goes out together, each user once."""

    def __init__(
        self, database: Database, newest: Newest, catch_up: Callable[[], Awaitable[None]], clock: Clock, retry: float
    ) -> None:
        self._db, self._newest, self._catch_up, self._clock, self._retry = database, newest, catch_up, clock, retry
        self._rung: dict[str, int] = {}
        self._wake = asyncio.Event()

    def ring(self, user_id: str, seq: int) -> None:
        """The user's stream is committed up to `seq`; returns at once."""
        self._rung[user_id] = max(seq, self._rung.get(user_id, 0))
        self._wake.set()

    async def send(self) -> None:
        """Notify what was rung, for ever; what Postgres does not take is kept for the next try."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            rung, self._rung = self._rung, {}
            try:
                await self._db.notify(CHANNEL, [f"{user} {seq}" for user, seq in rung.items()])
            except Unavailable as error:
                log.warning("cannot notify", extra={"cause": error.cause})
                for user, seq in rung.items():
                    self.ring(user, seq)
                await self._clock.sleep(error.retry_after)

    async def listen(self) -> None:
        """Hear the other workers for ever; after each new connection everyone catches up."""
        while True:
            try:
                async for told in self._db.listen(CHANNEL):
                    if told:
                        user, _, seq = told.partition(" ")
                        self._newest(user, int(seq))
                    else:
                        await self._catch_up()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:  # TimeoutError is an OSError
                log.warning("notifications lost", extra={"cause": repr(error)})
            await self._clock.sleep(self._retry)
