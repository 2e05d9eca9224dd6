"""A user's message becomes a row, a run and an acknowledgement, in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import orjson

from netra_sim.backend.chat import frames
from netra_sim.backend.chat.journal import Publisher
from netra_sim.backend.chat.messages import Event, Order
from netra_sim.backend.errors import PlatformError
from netra_sim.backend.store.database import Database

_ACCEPT = """
WITH owned AS (
    INSERT INTO threads (id, user_id) VALUES ($3, $2)
    -- user_id is no key column, so this lock lets a run's answer refer to the thread at the same time (no deadlock)
    ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id WHERE threads.user_id = $2 RETURNING id
), bump AS (
    UPDATE users SET last_seq = last_seq + 1 WHERE id = $2 AND EXISTS (SELECT FROM owned) RETURNING last_seq
), message AS (
    INSERT INTO messages (id, user_id, thread_id, run_id, role, text) SELECT $4, $2, $3, $1, 'user', $5 FROM bump
), run AS (
    INSERT INTO runs (id, user_id, thread_id, worker) SELECT $1, $2, $3, $6 FROM bump
), event AS (
    INSERT INTO events (user_id, seq, run_id, run_seq, thread_id, writer, type, data)
    SELECT $2, last_seq, $1, 0, $3, $1, 'message_accepted', $7::jsonb FROM bump
)
SELECT last_seq FROM bump
"""
_PENDING = """
SELECT r.id AS run_id, r.user_id, r.thread_id, m.id AS message_id, m.text
FROM runs r JOIN messages m ON m.run_id = r.id AND m.role = 'user'
WHERE r.status = 'pending' AND r.created_at < now() - make_interval(secs => $1)
ORDER BY r.created_at LIMIT 50
"""
_ORPHANED = """
SELECT r.id AS run_id, r.user_id, r.thread_id, m.id AS message_id, m.text
FROM runs r JOIN messages m ON m.run_id = r.id AND m.role = 'user'
WHERE r.ended_at IS NULL AND r.owner <> ALL (ARRAY(
    SELECT classid::bigint << 32 | objid::bigint FROM pg_locks JOIN pg_database d ON d.oid = database
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND datname = current_database()
)) ORDER BY r.created_at LIMIT 50
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A stored message; `duplicate` when it was stored before under the same id."""

    order: Order
    duplicate: bool
    status: str = "pending"


class Inbox:
    """Stores messages, each once, however often it is sent."""

    def __init__(self, database: Database, publisher: Publisher, worker: str) -> None:
        self._db, self._publisher, self._worker = database, publisher, worker

    async def accept(self, user_id: str, thread_id: str, message_id: str, text: str) -> Accepted:
        """Store the message with its run; the acknowledgement goes out with the commit.

        PlatformError `forbidden` when the thread is another user's; Unavailable when it could not be stored.
        """
        return await self.store(Order(str(uuid.uuid4()), user_id, thread_id, message_id, text))

    async def store(self, order: Order) -> Accepted:
        """One transaction for the message, its run and its acknowledgement."""
        message_id = order.message_id
        told = Event("message_accepted", {"message_id": message_id, "run_id": order.run_id, "duplicate": False})
        data = orjson.dumps(told.data).decode()
        try:
            values = (
                order.run_id, order.user_id, order.thread_id, message_id, order.text, self._worker, data,
            )  # fmt: skip
            row = await self._db.fetchrow(_ACCEPT, *values)
        except asyncpg.UniqueViolationError:
            return await self._stored(order)
        if row is None:
            raise PlatformError("forbidden", field="thread_id", message_id=message_id)
        seq = int(row["last_seq"])
        await self._publisher.publish(order.user_id, [(seq, frames.durable(order, told, seq, 0))])
        return Accepted(order, duplicate=False)

    async def pending(self, older_than: float) -> list[Order]:
        """Runs that nobody has begun: their acknowledgement was cut off, or their worker died before it started."""
        return _orders(await self._db.fetch(_PENDING, older_than))

    async def orphaned(self) -> list[Order]:
        """Runs under way whose worker is not connected to the database now."""
        return _orders(await self._db.fetch(_ORPHANED))

    async def _stored(self, order: Order) -> Accepted:
        sql = (
            "SELECT m.run_id, m.thread_id, m.text, r.status FROM messages m JOIN runs r ON r.id = m.run_id "
            "WHERE m.user_id = $1 AND m.id = $2"
        )
        row = await self._db.fetchrow(sql, order.user_id, order.message_id)
        if row is None:  # the clash was over another key
            raise PlatformError("internal", message_id=order.message_id)
        stored = Order(str(row["run_id"]), order.user_id, str(row["thread_id"]), order.message_id, row["text"])
        return Accepted(stored, duplicate=True, status=row["status"])


def _orders(rows: Sequence[asyncpg.Record]) -> list[Order]:
    return [
        Order(str(r["run_id"]), str(r["user_id"]), str(r["thread_id"]), str(r["message_id"]), r["text"]) for r in rows
    ]
