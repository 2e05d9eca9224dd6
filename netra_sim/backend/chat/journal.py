"""The durable record: what a run did goes into Postgres first, then to the user."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg
import orjson

from netra_sim.backend.chat import frames
from netra_sim.backend.chat.bell import Bell
from netra_sim.backend.chat.messages import Claimed, Entry, Event, Order
from netra_sim.backend.reliability.deadline import remaining
from netra_sim.backend.reliability.policy import Unavailable
from netra_sim.backend.store.database import Database
from netra_sim.backend.store.redis import RedisStore
from netra_sim.kernel.clock import Clock

# One statement, so one round trip and one commit. It writes nothing when a state change finds another state.
_WRITE = """
WITH moved AS (
    UPDATE runs SET status = coalesce($5, status), route = coalesce($6, route), owner = coalesce($15, owner),
        ended_at = CASE WHEN $7 THEN now() ELSE ended_at END
    WHERE id = $1 AND ($4::text IS NULL OR status = $4) RETURNING id
), bump AS (
    UPDATE users SET last_seq = last_seq + cardinality($9::text[])
    WHERE id = $2 AND EXISTS (SELECT FROM moved) RETURNING last_seq - cardinality($9::text[]) AS base
), chain AS (
    INSERT INTO run_transitions (run_id, n, from_state, to_state)
    SELECT $1, coalesce((SELECT max(n) FROM run_transitions WHERE run_id = $1), 0) + 1, $4, $5
    FROM bump WHERE $4::text IS NOT NULL
), point AS (
    INSERT INTO checkpoints (run_id, agent, result) SELECT $1, $11, $12::jsonb FROM bump WHERE $11::text IS NOT NULL
), answer AS (
    INSERT INTO messages (id, user_id, thread_id, run_id, role, text)
    SELECT $1, $2, $3, $1, 'assistant', $13 FROM bump WHERE $13::text IS NOT NULL
), written AS (
    INSERT INTO events (user_id, seq, run_id, run_seq, thread_id, writer, type, data)
    SELECT $2, bump.base + e.n, $1, $8::int + e.n, $3, $14, e.type, e.data::jsonb
    FROM bump, unnest($9::text[], $10::text[]) WITH ORDINALITY AS e (type, data, n)
)
SELECT base FROM bump
"""
_STANDING = """
SELECT r.status, coalesce(max(e.run_seq), 0) AS run_seq, (
    SELECT array_agg(agent) FROM (
        SELECT data->>'agent_name' AS agent FROM events WHERE run_id = $1 AND data->>'agent_name' <> 'supervisor'
        GROUP BY 1 HAVING bool_or(type = 'agent_started')
        AND NOT bool_or(type IN ('agent_completed', 'agent_error', 'agent_death'))
    ) AS unended
) AS open
FROM runs r LEFT JOIN events e ON e.run_id = r.id WHERE r.id = $1 GROUP BY r.status
"""
_ENDED = frozenset({"completed", "failed", "timeout", "dead", "cancelled"})
T = TypeVar("T")
Offer = Callable[[str, int, bytes], None]


class Publisher:
    """After the commit: to this worker's sockets at once, to the others through Redis, or Postgres where it is away."""

    def __init__(self, redis: RedisStore, offer: Offer, bell: Bell) -> None:
        self._redis, self._offer, self._bell = redis, offer, bell

    async def publish(self, user_id: str, frames_: Sequence[tuple[int, bytes]]) -> None:
        """Hand out committed frames; without Redis the other workers are told to read them in Postgres."""
        for seq, frame in frames_:
            self._offer(user_id, seq, frame)
        if not await self._redis.publish(user_id, frames_):
            self._bell.ring(user_id, frames_[-1][0])


class Journal:
    """One run's journal: writes one entry at a time, so `run_seq` has no gap, and waits out an absent store."""

    def __init__(self, order: Order, database: Database, publisher: Publisher, clock: Clock) -> None:
        self._order, self._db, self._publisher, self._clock = order, database, publisher, clock
        self._run_seq = 0
        self._turn = asyncio.Lock()

    async def write(self, entry: Entry) -> None:
        """Commit the entry and publish its events; Claimed when the run was not in the expected state."""
        async with self._turn:
            base = await self._commit(entry)
            first, self._run_seq = self._run_seq, self._run_seq + len(entry.events)
        sent = [
            (base + n, frames.durable(self._order, event, base + n, first + n))
            for n, event in enumerate(entry.events, start=1)
        ]
        if sent:
            await self._publisher.publish(self._order.user_id, sent)

    async def reload(self) -> tuple[str, list[str]]:
        """The run's state as committed and its open agents, after a write whose outcome is not known."""
        async with self._turn:
            row = await self._patient(lambda: self._db.fetchrow(_STANDING, self._order.run_id))
            if row is None:
                raise Claimed
            self._run_seq = row["run_seq"]
            return row["status"], list(row["open"] or ())

    async def _commit(self, entry: Entry) -> int:
        mark = str(uuid.uuid4())  # one for each entry: a lost answer must not be taken for another entry's
        return await self._patient(lambda: self._once(entry, mark))

    async def _patient(self, call: Callable[[], Awaitable[T]]) -> T:
        """Try until it works or the deadline leaves no room for the next try."""
        while True:
            try:
                return await call()
            except Unavailable as error:
                if error.retry_after >= remaining():
                    raise
                await self._clock.sleep(error.retry_after)

    async def _once(self, entry: Entry, mark: str) -> int:
        """The seq before the entry's first event; an attempt whose answer was lost is found again, not repeated."""
        values = self._values(entry, mark)
        try:
            row = await self._db.fetchrow(_WRITE, *values)
        except asyncpg.UniqueViolationError:
            row = None
        if row is not None:
            return int(row["base"])
        found = await self._already(entry.events, mark)
        if found is None:
            raise Claimed
        return found

    async def _already(self, events: Sequence[Event], mark: str) -> int | None:
        if not events:
            return None
        sql = "SELECT seq FROM events WHERE run_id = $1 AND run_seq = $2 AND writer = $3"
        row = await self._db.fetchrow(sql, self._order.run_id, self._run_seq + 1, mark)
        return None if row is None else int(row["seq"]) - 1

    def _values(self, entry: Entry, mark: str) -> list[object]:
        before, after = entry.transition or (None, None)
        agent, result = entry.checkpoint or (None, None)
        order = self._order
        return [
            order.run_id, order.user_id, order.thread_id, before, after, entry.route, after in _ENDED, self._run_seq,
            [e.type for e in entry.events], [orjson.dumps(e.data).decode() for e in entry.events],
            agent, None if result is None else orjson.dumps(result).decode(), entry.answer,
            mark, self._db.owner if after == "starting" else None,
        ]  # fmt: skip
