"""What really stands in the store after a run, read past the proxies and written into the history."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netra_sim.kernel.history import HistoryWriter

if TYPE_CHECKING:
    import asyncpg

ACTOR = "auditor"
POLL_S = 0.05
_CANARY = "canary-[0-9a-f]{8}"
_MESSAGES = "SELECT user_id::text, id::text FROM messages WHERE role = 'user' ORDER BY n"
_ANSWERS = """
    SELECT run_id::text, user_id::text, thread_id::text, text FROM messages WHERE role = 'assistant' ORDER BY n
"""
_RUNS = """
    SELECT id::text AS run_id, user_id::text, thread_id::text, status, route, worker FROM runs ORDER BY created_at, id
"""
UNDER_WAY = "SELECT count(*) FROM runs WHERE status NOT IN ('completed', 'failed', 'timeout', 'dead', 'cancelled')"
_TRANSITIONS = "SELECT run_id::text, from_state, to_state FROM run_transitions ORDER BY run_id, n"
_EVENTS = """
    SELECT user_id::text, seq, run_id::text, run_seq, type, data->>'agent_name' AS agent, data->>'tool_name' AS tool,
           data->>'call_id' AS call, (extract(epoch FROM created_at) * 1000)::bigint AS t_ms
    FROM events ORDER BY user_id, seq
"""
_CHECKPOINTS = """
    SELECT c.run_id::text, r.user_id::text, c.agent, c.result::text
    FROM checkpoints c JOIN runs r ON r.id = c.run_id ORDER BY c.run_id, c.at
"""
_LAST_SEQ = "SELECT id::text AS user_id, last_seq FROM users WHERE last_seq > 0"
_CANARIES = """
    SELECT 'messages' AS source, m.user_id::text, u.email, m.id::text AS row, m.text AS body
    FROM messages m JOIN users u ON u.id = m.user_id WHERE m.text ~ $1
    UNION ALL
    SELECT 'events', e.user_id::text, u.email, e.seq::text, e.data::text
    FROM events e JOIN users u ON u.id = e.user_id WHERE e.data::text ~ $1
"""
_OPEN = """
    SELECT pid, state, left(query, 80) AS query FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""
_OWNERS = """
    SELECT 'messages' AS source, m.user_id::text, m.id::text AS row, t.user_id::text AS owner
    FROM messages m JOIN threads t ON t.id = m.thread_id WHERE t.user_id <> m.user_id
    UNION ALL
    SELECT 'runs', r.user_id::text, r.id::text, t.user_id::text
    FROM runs r JOIN threads t ON t.id = r.thread_id WHERE t.user_id <> r.user_id
    UNION ALL
    SELECT 'events', e.user_id::text, e.seq::text, r.user_id::text
    FROM events e JOIN runs r ON r.id = e.run_id WHERE r.user_id <> e.user_id
"""


async def settled(url: str, within_s: float) -> int:
    """Wait until no run is under way any more; answers how many still are after `within_s` seconds."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        end = time.monotonic() + within_s
        # The tables tell nobody when a run ends.
        while (under_way := await connection.fetchval(UNDER_WAY)) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
        return int(under_way)
    finally:
        await connection.close()


async def audit(url: str, history: HistoryWriter, canaries: Mapping[str, str]) -> None:
    """Record messages, answers, runs, transitions, events and foreign rows of one database.

    `canaries` are by e-mail address. All is read in one snapshot. What asyncpg raises is passed on: without its facts
    a run cannot be judged.
    """
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            messages = [list(row) for row in await connection.fetch(_MESSAGES)]
            history.seen(ACTOR, "messages", rows=messages)
            history.seen(ACTOR, "answers", rows=[dict(row) for row in await connection.fetch(_ANSWERS)])
            history.seen(ACTOR, "runs", rows=[dict(row) for row in await connection.fetch(_RUNS)])
            points = [dict(row) for row in await connection.fetch(_CHECKPOINTS)]
            history.seen(
                ACTOR, "checkpoints", rows=[{**point, "result": json.loads(point["result"])} for point in points]
            )
            await _transitions(connection, history)
            await _events(connection, history)
            history.seen(ACTOR, "foreign_rows", rows=await _foreign(connection, canaries))
    finally:
        await connection.close()


async def audit_streams(url: str, prefix: str, history: HistoryWriter) -> None:
    """Record how far each user's stream reaches in Redis, read past the proxies."""
    import redis.asyncio

    start = f"{prefix}stream:"
    async with redis.asyncio.Redis.from_url(url) as client:
        names = [name.decode() async for name in client.scan_iter(match=f"{start}*", count=500)]
        newest: list[Any] = [await client.xrevrange(name, count=1) for name in names]
    rows = [
        {"user_id": name.removeprefix(start), "last_seq": int(found[0][0].split(b"-")[0])}
        for name, found in zip(names, newest, strict=True)
        if found
    ]
    history.seen(ACTOR, "streams", rows=rows)


async def _transitions(connection: asyncpg.Connection[Any], history: HistoryWriter) -> None:
    chains: dict[str, list[list[str]]] = {}
    for run_id, before, after in await connection.fetch(_TRANSITIONS):
        chains.setdefault(run_id, []).append([before, after])
    for run_id, chain in chains.items():
        history.seen(ACTOR, "transitions", run_id=run_id, chain=chain)


async def _events(connection: asyncpg.Connection[Any], history: HistoryWriter) -> None:
    """One record for each user with a stream: also for one whose counter moved and whose events are missing."""
    last = {row["user_id"]: row["last_seq"] for row in await connection.fetch(_LAST_SEQ)}
    streams: dict[str, list[list[Any]]] = {user_id: [] for user_id in last}
    async for user_id, *event in connection.cursor(_EVENTS, prefetch=1000):
        streams.setdefault(user_id, []).append(event)
    for user_id, of in streams.items():
        history.seen(
            ACTOR, "events", user_id=user_id, seqs=[event[0] for event in of], of=of, last_seq=last.get(user_id, 0)
        )


async def _foreign(connection: asyncpg.Connection[Any], canaries: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows with a canary that is not their user's, and rows whose parent belongs to another user."""
    rows: list[dict[str, Any]] = []
    async for source, user_id, email, row, body in connection.cursor(_CANARIES, _CANARY, prefetch=500):
        found = sorted(set(re.findall(_CANARY, body)) - {canaries.get(email)})
        if found:
            rows.append({"table": source, "user_id": user_id, "row": row, "foreign": found})
    for source, user_id, row, owner in await connection.fetch(_OWNERS):
        rows.append({"table": source, "user_id": user_id, "row": row, "owner": owner})
    return rows


async def open_transactions(url: str) -> list[dict[str, Any]]:
    """Connections of one database that hold a transaction open and do nothing, each as a small fact."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        return [{"what": "open transaction", **row} for row in await connection.fetch(_OPEN)]
    finally:
        await connection.close()
