"""Faults on messages between real clients and the lab's real Postgres and Redis, by way of a real proxy process."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis.asyncio as redis

from netra_sim.faults.control import FaultControl
from netra_sim.kernel.errors import FaultError
from netra_sim.lab.lab import Lab
from tests.service.proxying import connection, within
from tests.service.striking import hits, strike, through

GONE = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, redis.ConnectionError)
LOCKED = "SELECT count(*) FROM pg_locks WHERE relation = 'fault'::regclass AND mode = 'RowExclusiveLock'"


@pytest.fixture
async def table(lab: Lab) -> AsyncIterator[asyncpg.Connection]:
    """A direct connection, and the table `fault` to write into."""
    direct = await asyncpg.connect(lab.postgres.url)
    await direct.execute("CREATE TABLE fault (n int PRIMARY KEY)")
    yield direct
    await direct.execute("DROP TABLE fault")
    await direct.close()


@pytest.fixture
async def sql(control: FaultControl, lab: Lab) -> AsyncIterator[asyncpg.Connection]:
    """A connection by way of the proxy."""
    client = await asyncpg.connect(await through(control, lab.postgres.url, "postgres"), ssl=False)
    yield client
    client.terminate()


@pytest.fixture
async def store(control: FaultControl, lab: Lab) -> AsyncIterator[redis.Redis]:
    client = redis.Redis.from_url(
        await through(control, lab.redis.url, "redis"),
        single_connection_client=True,
        retry=None,
        retry_on_timeout=False,
    )
    await client.ping()
    yield client
    with contextlib.suppress(*GONE):
        await client.aclose()


# -- Postgres -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "stream", "rows"),
    [("before", "upstream", 0), ("after", "upstream", 1), ("middle", "upstream", 0), ("before", "downstream", 1)],
)
async def test_a_commit_is_cut_in_both_halves(
    control: FaultControl, table: asyncpg.Connection, sql: asyncpg.Connection, when: str, stream: str, rows: int
) -> None:
    match = {"type": "Query" if stream == "upstream" else "CommandComplete", "text": "^commit"}
    await strike(control, "cut", match, when=when, stream=stream)
    await sql.execute("BEGIN")
    await sql.execute("INSERT INTO fault VALUES (1)")
    with pytest.raises(GONE):
        await within(sql.execute("COMMIT"))

    async def settled() -> None:
        while await table.fetchval(LOCKED):
            pass

    await within(settled())
    assert await table.fetchval("SELECT count(*) FROM fault") == rows
    assert await hits(control) == 1
    assert [(hit["hits"], hit["last"]) for hit in await control.hits("edge", "it")] == [(1, "COMMIT")]


@pytest.mark.parametrize("extended", [False, True])
async def test_an_error_of_postgres_strikes_its_statement_and_the_transaction_is_what_it_says(
    control: FaultControl, table: asyncpg.Connection, sql: asyncpg.Connection, extended: bool
) -> None:
    await strike(control, "pg_error", {"text": r"VALUES \((2|\$1)"}, sqlstate="40001", message="it's ours")
    await sql.execute("INSERT INTO fault VALUES (1)")
    await sql.execute("BEGIN")
    with pytest.raises(asyncpg.SerializationError, match="it's ours"):
        if extended:
            await within(sql.execute("INSERT INTO fault VALUES ($1)", 2))
        else:
            await within(sql.execute("INSERT INTO fault VALUES (2)"))
    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await within(sql.execute("SELECT 1"))
    await within(sql.execute("ROLLBACK"))
    assert await within(sql.fetch("SELECT n FROM fault WHERE n > $1", 0)) == [(1,)]
    assert await hits(control) == 1


async def test_a_fatal_error_is_told_and_the_connection_ends(
    control: FaultControl, table: asyncpg.Connection, sql: asyncpg.Connection
) -> None:
    await strike(control, "pg_error", {"text": "insert"}, sqlstate="57P01", message="going down")
    assert await within(sql.fetchval("SELECT 1")) == 1
    with pytest.raises(asyncpg.ConnectionDoesNotExistError, match="going down") as told:
        await within(sql.execute("INSERT INTO fault VALUES (1)"))
    assert isinstance(told.value.__cause__, asyncpg.AdminShutdownError)
    assert await table.fetchval("SELECT count(*) FROM fault") == 0


async def test_too_many_connections_is_told_at_startup(control: FaultControl, lab: Lab) -> None:
    url = await through(control, lab.postgres.url, "postgres")
    await strike(control, "pg_error", {"type": "StartupMessage", "first": 1}, sqlstate="53300")
    with pytest.raises(asyncpg.TooManyConnectionsError):
        await within(asyncpg.connect(url, ssl=False))
    client = await within(asyncpg.connect(url, ssl=False))
    await client.close()


async def test_a_batch_with_a_flush_is_refused_there_and_waits_for_its_sync(
    control: FaultControl, table: asyncpg.Connection, lab: Lab
) -> None:
    url = urlsplit(await through(control, lab.postgres.url, "postgres"))
    await strike(control, "pg_error", {"type": "Parse", "text": "^insert"}, sqlstate="40001")
    async with connection(url.port or 0) as (reader, writer):
        startup = f"user\0{url.username}\0database\0{url.path[1:]}\0\0".encode()
        writer.write((len(startup) + 8).to_bytes(4, "big") + (3 << 16).to_bytes(4, "big") + startup)
        await read_until(reader, "Z")
        batch = said("P", b"\0INSERT INTO fault VALUES (1)\0\0\0") + said("D", b"S\0")
        writer.write(batch + said("H"))
        told = await read_until(reader, "E")
        assert b"C40001\0" in told[-1][1]
        assert [type_ for type_, _ in told] == ["E"]
        writer.write(said("B", bytes(8)) + said("E", bytes(5)) + said("S"))  # as of a client that did not wait
        assert await read_until(reader, "Z") == [("Z", b"I")]
        writer.write(said("Q", b"SELECT 1\0"))
        assert [type_ for type_, _ in await read_until(reader, "Z")] == ["T", "D", "C", "Z"]
    assert await table.fetchval("SELECT count(*) FROM fault") == 0
    assert await hits(control) == 1


async def test_a_statement_refused_while_it_is_prepared_can_be_prepared_again(
    control: FaultControl, sql: asyncpg.Connection
) -> None:
    await strike(control, "pg_error", {"type": "Parse", "first": 1}, sqlstate="40P01")
    with pytest.raises(asyncpg.DeadlockDetectedError):
        await within(sql.prepare("SELECT $1::int"))
    assert await within((await within(sql.prepare("SELECT $1::int"))).fetchval(7)) == 7


def said(type_: str, body: bytes = b"") -> bytes:
    return type_.encode() + (len(body) + 4).to_bytes(4, "big") + body


async def read_until(reader: asyncio.StreamReader, last: str) -> list[tuple[str, bytes]]:
    """Types and bodies of the server's messages, up to one of this type."""
    told: list[tuple[str, bytes]] = []
    while not told or told[-1][0] != last:
        head = await within(reader.readexactly(5))
        told.append((chr(head[0]), await within(reader.readexactly(int.from_bytes(head[1:], "big") - 4))))
    return told


# -- Redis --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "value"), [("before", None), ("after", b"x"), ("middle", None)])
async def test_a_set_is_cut_in_both_halves(
    control: FaultControl, lab: Lab, store: redis.Redis, when: str, value: bytes | None
) -> None:
    key = f"fault:{uuid.uuid4().hex}"
    await strike(control, "cut", {"key": key, "text": "^SET "}, when=when)
    assert await within(store.get(key)) is None
    with pytest.raises(GONE):
        await within(store.set(key, "x"))
    direct = redis.Redis.from_url(lab.redis.url)
    assert await direct.get(key) == value
    await direct.delete(key)
    await direct.aclose()
    assert await hits(control) == 1


async def test_an_injected_error_keeps_its_place_in_the_pipeline(
    control: FaultControl, lab: Lab, store: redis.Redis
) -> None:
    key = f"fault:{uuid.uuid4().hex}"
    await strike(control, "redis_error", {"text": "^INCRBY .* 10$"}, text="READONLY not now")
    pipeline = store.pipeline(transaction=False)
    for by in (1, 10, 100, 10, 1000):
        pipeline.incrby(key, by)
    answers = await within(pipeline.execute(raise_on_error=False))
    assert [str(a) if isinstance(a, Exception) else a for a in answers] == [1, "not now", 101, "not now", 1101]
    assert await within(store.get(key)) == b"1101"
    assert await hits(control) == 2


@pytest.mark.parametrize(
    ("how", "right"), [("truncated", lambda v: v == b"hel"), ("corrupted", lambda v: len(v) == 6 and v != b"hello!")]
)
async def test_a_value_is_another_one(control: FaultControl, store: redis.Redis, how: str, right: Any) -> None:
    key = f"fault:{uuid.uuid4().hex}"
    await store.set(key, "hello!", ex=60)
    await strike(control, "redis_value", {"key": key}, how=how)
    assert right(await within(store.get(key)))
    assert await hits(control) == 1
    await control.remove_toxic("edge", "it")
    assert await within(store.get(key)) == b"hello!"


async def test_a_stall_holds_what_follows_until_it_is_removed(control: FaultControl, store: redis.Redis) -> None:
    await strike(control, "stall", {"text": "^GET nothing"})
    await store.ping()
    waiting = asyncio.ensure_future(store.get("nothing"))
    while not await hits(control):
        assert not waiting.done()
    await control.remove_toxic("edge", "it")
    assert await within(waiting) is None


async def test_other_attributes_hold_on_an_open_connection(control: FaultControl, store: redis.Redis) -> None:
    await strike(control, "redis_error", {"text": "^GET a$"}, text="ERR first")
    with pytest.raises(redis.ResponseError, match="first"):
        await within(store.get("a"))
    told = await control.update_toxic("edge", "it", {"text": "ERR second"})
    assert told["attributes"] == {"match": {"text": "^GET a$"}, "text": "ERR second"}
    with pytest.raises(redis.ResponseError, match="second"):
        await within(store.get("a"))
    told = await control.update_toxic("edge", "it", {"match": {"key": "b*"}})
    assert told["attributes"] == {"match": {"key": "b*"}, "text": "ERR second"}
    assert await within(store.get("a")) is None
    with pytest.raises(redis.ResponseError, match="second"):
        await within(store.get("b1"))
    with pytest.raises(FaultError, match=r"match\.nth cannot be 0"):
        await control.update_toxic("edge", "it", {"match": {"nth": 0}})
    assert await hits(control) == 3
    [hit] = await control.hits("edge", "it")
    assert (hit["hits"], hit["last"]) == (3, "GET b1")
    [open_] = await control.connections("edge")
    assert open_["toxics"] == [{"name": "it", "type": "redis_error", "stream": "upstream", "hits": 3, "last": "GET b1"}]


@pytest.mark.parametrize("kind", ["stall", "delay_message"])
async def test_nothing_is_lost_when_a_fault_goes_under_load(
    control: FaultControl, store: redis.Redis, kind: str
) -> None:
    key = f"fault:{uuid.uuid4().hex}"
    await strike(control, kind, {"text": "^INCR", "nth": 200}, **({"delay": 60_000} if kind == "delay_message" else {}))
    pipelines = [store.pipeline(transaction=False) for _ in range(10)]
    for n in range(1000):
        pipelines[n // 100].incr(key)
    load = asyncio.ensure_future(one_by_one(pipelines))
    while not await hits(control):
        assert not load.done()
    await control.remove_toxic("edge", "it")
    assert await within(load) == [*range(1, 1001)]
    assert int(await within(store.get(key))) == 1000
    await store.delete(key)


async def one_by_one(pipelines: list[Any]) -> list[int]:
    return [answer for pipeline in pipelines for answer in await pipeline.execute()]


# -- refusals -----------------------------------------------------------------------------------------------------


async def test_a_fault_on_messages_needs_its_protocol(control: FaultControl, lab: Lab) -> None:
    await through(control, lab.redis.url, "redis")
    with pytest.raises(FaultError, match="needs a proxy created with the protocol postgres; this one has redis"):
        await strike(control, "pg_error", {})
    with pytest.raises(FaultError, match="There is no field of match named 'sql'"):
        await strike(control, "cut", {"sql": "x"})
    with pytest.raises(FaultError, match=r"protocol cannot be 'smtp'. It takes postgres, redis, http"):
        await control.create_proxy("other", "127.0.0.1:1", protocol="smtp")
    await control.create_proxy("plain", "127.0.0.1:1")
    with pytest.raises(FaultError, match="this one has none"):
        await control.add_toxic("plain", {"type": "cut"})
