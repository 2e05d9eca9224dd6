"""Which sockets this worker holds, and how committed events reach them."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import Protocol

from redis.exceptions import RedisError

from netra_sim.backend.chat import frames
from netra_sim.backend.reliability.policy import Unavailable
from netra_sim.backend.store.database import Database
from netra_sim.backend.store.redis import RedisStore
from netra_sim.kernel.clock import Clock

log = logging.getLogger("netra.hub")
PAGE = 500


class Listener(Protocol):
    """A socket, as the hub sees it."""

    def offer(self, seq: int, frame: bytes) -> None:
        """A frame of the user's stream was committed."""
        ...

    def newest(self, seq: int) -> None:
        """The stream is known to reach up to `seq`."""
        ...

    def tell(self, frame: bytes) -> None:
        """An ephemeral frame."""
        ...


class Hub:
    """The sockets of this worker by user, fed from Redis and, behind it, from Postgres."""

    def __init__(self, database: Database, redis: RedisStore, clock: Clock, look: float, retry: float) -> None:
        self._db, self._redis, self._clock = database, redis, clock
        self._look, self._retry = look, retry
        self._sockets: dict[str, set[Listener]] = defaultdict(set)

    def add(self, user_id: str, socket: Listener) -> None:
        """From now on `socket` is offered the user's frames."""
        self._sockets[user_id].add(socket)

    def remove(self, user_id: str, socket: Listener) -> None:
        """Nothing of the socket stays behind."""
        self._sockets[user_id].discard(socket)
        if not self._sockets[user_id]:
            del self._sockets[user_id]

    def offer(self, user_id: str, seq: int, frame: bytes) -> None:
        """Hand a committed frame to the user's sockets here."""
        for socket in tuple(self._sockets.get(user_id, ())):
            socket.offer(seq, frame)

    def newest(self, user_id: str, seq: int) -> None:
        """The user's stream is committed up to `seq`: sockets here that have not seen it all read it."""
        for socket in tuple(self._sockets.get(user_id, ())):
            socket.newest(seq)

    def tell_all(self, frame: bytes) -> None:
        """Tell every socket here an ephemeral frame."""
        for sockets in self._sockets.values():
            for socket in sockets:
                socket.tell(frame)

    @property
    def sockets(self) -> int:
        """How many are open here."""
        return sum(map(len, self._sockets.values()))

    async def after(self, user_id: str, position: int) -> list[tuple[int, bytes]]:
        """The frames behind `position`, gapless: from Redis when it has them all, else from Postgres."""
        cached = await self._redis.replay(user_id, position, PAGE)
        if cached and all(seq == position + n for n, (seq, _) in enumerate(cached, start=1)):
            return cached
        sql = (
            "SELECT seq, run_id, run_seq, thread_id, type, data::text AS data FROM events "
            "WHERE user_id = $1 AND seq > $2 ORDER BY seq LIMIT $3"
        )
        rows = await self._db.fetch(sql, user_id, position, PAGE)
        return [(row["seq"], frames.replayed(row)) for row in rows]

    async def listen(self) -> None:
        """Take frames from the other workers for ever; after each new subscription everyone catches up."""
        while True:
            try:
                async for user_id, seq, frame in self._redis.listen():
                    if user_id:
                        self.offer(user_id, seq, frame)
                    else:
                        await self.catch_up()
            except (RedisError, OSError) as error:
                log.warning("fan-out lost", extra={"cause": repr(error)})
            await self._clock.sleep(self._retry)

    async def watch(self) -> None:
        """Ask Postgres now and then whether a frame was missed, e.g. while Redis was away."""
        while True:
            await self._clock.sleep(self._look)
            await self.catch_up()

    async def catch_up(self) -> None:
        """Tell every socket how far its user's stream reaches."""
        users = list(self._sockets)
        if not users:
            return
        try:
            rows = await self._db.fetch("SELECT id, last_seq FROM users WHERE id = ANY($1::uuid[])", users)
        except Unavailable as error:
            log.warning("cannot catch up", extra={"cause": error.cause})
            return
        for row in rows:
            self.newest(str(row["id"]), row["last_seq"])


def forever(*loops: asyncio.Task[None]) -> None:
    """A background loop that ends by an error is a defect: say so at once."""
    for task in loops:
        task.add_done_callback(_tell)


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a background loop ended", exc_info=error, extra={"loop": task.get_name()})
