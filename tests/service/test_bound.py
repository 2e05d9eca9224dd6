"""The lower bound is one only if it reads and writes what the worker does: the same counts on every wire."""

from collections import Counter
from typing import Any

import asyncpg
import httpx
from redis.asyncio import Redis

from netra_sim.lab.lab import Lab
from tests.bench.load import client, volley
from tests.bench.stage import BOUND, WORKER, lab, side

RUNS = 20
COMMANDS = ("xadd", "publish", "incrby", "pexpire", "pttl", "xrange")


async def traffic(here: Lab, name: str, command: tuple[str, ...]) -> dict[str, Any]:
    """What one server's runs left on its wires."""
    async with side(here, name, 1, command) as server:
        redis, http = Redis.from_url(here.redis.url), httpx.AsyncClient(trust_env=False)
        async with redis, http, client(server, server.users[0]) as one:
            await volley([one], 1)
            await redis.config_resetstat()
            asked = len(await log(http, here))
            frames, size = one.frames, one.bytes
            await volley([one], RUNS)
            stats = await redis.info("commandstats")
            requests = (await log(http, here))[asked:]
            frames, size = one.frames - frames, one.bytes - size
        await server.server.stop()  # its connections tell Postgres their counts when they end
        database = await postgres(server.database)
    commands = {c: stats.get(f"cmdstat_{c}", {"calls": 0})["calls"] / RUNS for c in COMMANDS}
    agents = Counter("/".join(request["draw"].split("/")[2:]) for request in requests)
    return {"commands": commands, "agents": agents, "frames": frames / RUNS, "bytes": size / RUNS, **database}


async def log(http: httpx.AsyncClient, here: Lab) -> list[dict[str, Any]]:
    return (await http.get(here.llm_url.removesuffix("/v1") + "/requests")).json()  # type: ignore[no-any-return]


async def postgres(url: str) -> dict[str, Any]:
    connection = await asyncpg.connect(url)
    try:
        commits = await connection.fetchval(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        )
        rows = {
            table: await connection.fetchval(f"SELECT count(*) FROM {table}")
            for table in ("threads", "messages", "runs", "run_transitions", "checkpoints", "events")
        }
        entries = await connection.fetchval("SELECT count(DISTINCT writer) FROM events")
        size = await connection.fetchval("SELECT sum(length(data::text)) FROM events")
        types = await connection.fetch("SELECT type, count(*) AS n FROM events GROUP BY type ORDER BY type")
        return {"commits": commits, "rows": rows, "entries": entries, "size": size, "types": [tuple(t) for t in types]}
    finally:
        await connection.close()


async def test_the_bound_has_the_input_and_output_of_the_worker():
    async with lab() as here:
        real = await traffic(here, "worker", WORKER)
        bound = await traffic(here, "bound", BOUND)
    for same in ("commands", "agents", "frames", "rows", "entries", "types"):
        assert bound[same] == real[same], same
    for close in ("bytes", "size"):  # ids and times differ in length
        assert abs(bound[close] / real[close] - 1) < 0.02, close
    # Both looked after their sockets and connections beside the runs: less than one commit a run.
    assert abs(bound["commits"] - real["commits"]) < RUNS
