"""The lower bound is one only if it reads and writes what the worker does: the same counts on every wire."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import asyncpg
import httptools
import httpx
from redis.asyncio import Redis

from netra_sim.lab.lab import Lab
from tests.bench.load import client, volley
from tests.bench.stage import BOUND, WORKER, Side, lab, side

RUNS = 20
COMMANDS = ("xadd", "publish", "incrby", "pexpire", "pttl", "xrange")


class Reader:
    """The questions of one connection to ClickHouse: the statement and its bound values."""

    def __init__(self, asked: list[tuple[str, ...]]) -> None:
        self.asked, self.parser = asked, httptools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        self.url, self.body = url.decode(), b""

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        given = sorted(parse_qsl(urlsplit(self.url).query))
        values = (f"{name}={value}" for name, value in given if name.startswith("param_"))
        self.asked.append((self.body.decode(), *values))


@contextlib.asynccontextmanager
async def overheard(url: str) -> AsyncIterator[tuple[str, list[tuple[str, ...]]]]:
    """The URL with a relay before it, and what is asked over it."""
    asked: list[tuple[str, ...]] = []
    to = urlsplit(url)

    async def carry(source: asyncio.StreamReader, drain: asyncio.StreamWriter, reader: Reader | None) -> None:
        while data := await source.read(1 << 16):
            if reader is not None:
                reader.parser.feed_data(data)
            drain.write(data)
        drain.close()

    async def serve(source: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        answers, drain = await asyncio.open_connection(to.hostname, to.port)
        await asyncio.gather(carry(source, drain, Reader(asked)), carry(answers, back, None))

    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        yield urlunsplit(to._replace(netloc=f"127.0.0.1:{server.sockets[0].getsockname()[1]}")), asked


async def traffic(here: Lab, name: str, command: tuple[str, ...]) -> dict[str, Any]:
    """What one server's runs left on its wires."""
    assert here.clickhouse is not None
    async with (
        overheard(f"{here.clickhouse.url}bench_{name}") as (logs, questions),
        side(here, name, 1, command, clickhouse_url=logs) as server,
    ):
        redis, http = Redis.from_url(here.redis.url), httpx.AsyncClient(trust_env=False)
        async with redis, http, client(server, server.users[0]) as one:
            await volley([one], 1)
            await published(redis, server)
            await redis.config_resetstat()
            before = len(await log(http, here))
            questions.clear()
            frames, size = one.frames, one.bytes
            await volley([one], RUNS)
            await published(redis, server)
            stats = await redis.info("commandstats")
            requests = (await log(http, here))[before:]
            asked = Counter(questions)
            frames, size = one.frames - frames, one.bytes - size
        await server.server.stop()  # its connections tell Postgres their counts when they end
        database = await postgres(server.database)
    commands = {c: stats.get(f"cmdstat_{c}", {"calls": 0})["calls"] / RUNS for c in COMMANDS}
    agents = Counter("/".join(request["draw"].split("/")[2:]) for request in requests)
    return {
        "commands": commands, "agents": agents, "questions": asked, "frames": frames / RUNS, "bytes": size / RUNS,
        **database,
    }  # fmt: skip


async def published(redis: Redis, server: Side) -> None:
    """Returns once Redis has all that was committed: a run's last frame is with its user a moment earlier."""
    connection = await asyncpg.connect(server.database)
    try:
        user = server.users[0].id
        last = await connection.fetchval("SELECT last_seq FROM users WHERE id = $1", user)
        assert await redis.xread({f"{server.prefix}stream:{user}": f"{last - 1}-0"}, block=10_000)
    finally:
        await connection.close()


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
    for same in ("commands", "agents", "questions", "frames", "rows", "entries", "types"):
        assert bound[same] == real[same], same
    for close in ("bytes", "size"):  # times differ in length; the model's answers do not, by the questions' ids
        assert abs(bound[close] / real[close] - 1) < 0.005, close
    assert sum(real["questions"].values()) == 5 * RUNS  # five questions a run, so this counts them
    # Both looked after their sockets and connections beside the runs: less than one commit a run.
    assert abs(bound["commits"] - real["commits"]) < RUNS
