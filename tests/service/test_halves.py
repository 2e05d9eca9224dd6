"""Each fault on messages leaves a write there, or not there, as its place says: on real Postgres and Redis."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import redis.asyncio as redis
from redis import exceptions

from netra_sim.faults.control import FaultControl
from netra_sim.lab.lab import Lab
from tests.service.proxying import within
from tests.service.striking import hits, strike, struck, through

GONE = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, redis.ConnectionError)
ASKED = {"type": "Query", "text": "^commit"}
ANSWER = {"type": "CommandComplete", "text": "^commit"}
WHOLE_ANSWER = {"type": ["CommandComplete", "ReadyForQuery"], "text": "^commit"}
UP, DOWN = {"stream": "upstream"}, {"stream": "downstream"}


@pytest.fixture
async def direct(lab: Lab) -> AsyncIterator[asyncpg.Connection]:
    """Past the proxy, with the table `kept`."""
    client = await asyncpg.connect(lab.postgres.url)
    await client.execute("CREATE TABLE kept (n int PRIMARY KEY, who text)")
    yield client
    await client.execute("DROP TABLE kept")
    await client.close()


@pytest.fixture
async def sql(control: FaultControl, lab: Lab, direct: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """By way of the proxy."""
    client = await asyncpg.connect(await through(control, lab.postgres.url, "postgres"), ssl=False)
    yield client
    client.terminate()


async def rows(direct: asyncpg.Connection) -> int:
    """How many rows are committed, once no transaction on the table is open."""
    await within(direct.execute("BEGIN; LOCK TABLE kept IN SHARE MODE; COMMIT"))
    return int(await direct.fetchval("SELECT count(*) FROM kept"))


async def begun(sql: asyncpg.Connection) -> None:
    await sql.execute("BEGIN")
    await sql.execute("INSERT INTO kept VALUES (1)")


@pytest.mark.parametrize(
    ("kind", "match", "attributes", "there"),
    [
        ("truncate_message", ASKED, {**UP, "bytes": 7}, 0),
        ("truncate_message", ANSWER, {**DOWN, "bytes": 3}, 1),
        ("cut", ANSWER, {**DOWN, "when": "middle", "how": "close"}, 1),
        ("pg_error", ASKED, {"sqlstate": "57P01"}, 0),
    ],
)
async def test_a_commit_is_broken_off(
    control: FaultControl, direct: asyncpg.Connection, sql: asyncpg.Connection,
    kind: str, match: dict[str, Any], attributes: dict[str, Any], there: int,
) -> None:  # fmt: skip
    await strike(control, kind, match, **attributes)
    await begun(sql)
    with pytest.raises(GONE):
        await within(sql.execute("COMMIT"))
    assert await rows(direct) == there
    assert [(hit["hits"], hit["last"]) for hit in await control.hits("edge", "it")] == [(1, "COMMIT")]


@pytest.mark.parametrize(
    ("kind", "match", "attributes", "hit", "there"),
    [
        ("drop_message", ASKED, UP, 1, 0),
        ("drop_message", WHOLE_ANSWER, DOWN, 2, 1),
        ("stall", ASKED, UP, 1, 0),
        ("stall", ANSWER, DOWN, 1, 1),
        ("delay_message", ASKED, {**UP, "delay": 3_600_000}, 1, 0),
        ("delay_message", ANSWER, {**DOWN, "delay": 3_600_000}, 1, 1),
    ],
)
async def test_a_commit_waits_for_an_answer(
    control: FaultControl, direct: asyncpg.Connection, sql: asyncpg.Connection,
    kind: str, match: dict[str, Any], attributes: dict[str, Any], hit: int, there: int,
) -> None:  # fmt: skip
    await strike(control, kind, match, **attributes)
    await begun(sql)
    asked = asyncio.ensure_future(sql.execute("COMMIT"))
    await struck(control, hit)
    assert await direct.fetchval("SELECT count(*) FROM kept") == there
    assert not asked.done()
    await control.remove_toxic("edge", "it")
    if kind == "drop_message":  # it is lost for good
        sql.terminate()
        with pytest.raises(GONE):
            await within(asked)
    else:
        assert await within(asked) == "COMMIT"
        there = 1
    assert await rows(direct) == there


@pytest.mark.parametrize(
    ("sqlstate", "error"),
    [
        ("40001", asyncpg.SerializationError), ("40P01", asyncpg.DeadlockDetectedError),
        ("25006", asyncpg.ReadOnlySQLTransactionError), ("23505", asyncpg.UniqueViolationError),
        ("53300", asyncpg.ConnectionDoesNotExistError), ("57P01", asyncpg.ConnectionDoesNotExistError),
    ],
)  # fmt: skip
async def test_an_insert_with_an_injected_sqlstate_is_not_there(
    control: FaultControl, lab: Lab, direct: asyncpg.Connection, sql: asyncpg.Connection, sqlstate: str, error: type
) -> None:
    await strike(control, "pg_error", {"text": r"VALUES \(2"}, sqlstate=sqlstate, message="by the test")
    await sql.execute("INSERT INTO kept VALUES (1)")
    with pytest.raises(error, match="by the test") as told:
        await within(sql.execute("INSERT INTO kept VALUES (2)"))
    cause = told.value.__cause__ if error is asyncpg.ConnectionDoesNotExistError else told.value
    assert isinstance(cause, asyncpg.PostgresError)
    assert cause.sqlstate == sqlstate
    assert sql.is_closed() == (cause is not told.value)
    if not sql.is_closed():
        await within(sql.execute("INSERT INTO kept VALUES (3)"))
    assert await direct.fetch("SELECT n FROM kept") == [(1,), *([] if sql.is_closed() else [(3,)])]
    assert await hits(control) == 1


async def test_a_user_is_found_by_a_bound_value(
    control: FaultControl, direct: asyncpg.Connection, sql: asyncpg.Connection
) -> None:
    await strike(control, "pg_error", {"type": "Bind", "value": "bob"}, sqlstate="25006")
    for n, who in enumerate(("ann", "bob", "cid")):
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError) if who == "bob" else contextlib.nullcontext():
            await within(sql.execute("INSERT INTO kept VALUES ($1, $2)", n, who))
    assert await direct.fetch("SELECT who FROM kept ORDER BY n") == [("ann",), ("cid",)]
    assert await hits(control) == 1


async def test_an_answer_is_found_by_its_sqlstate(
    control: FaultControl, direct: asyncpg.Connection, sql: asyncpg.Connection
) -> None:
    await strike(control, "cut", {"status": "23*"}, **DOWN)
    with pytest.raises(asyncpg.UndefinedTableError):
        await within(sql.execute("SELECT 1 FROM nowhere"))
    await sql.execute("INSERT INTO kept VALUES (1)")
    with pytest.raises(GONE):
        await within(sql.execute("INSERT INTO kept VALUES (1)"))
    assert await hits(control) == 1


async def test_a_row_has_other_bytes_and_the_next_one_its_own(
    control: FaultControl, direct: asyncpg.Connection, sql: asyncpg.Connection
) -> None:
    await direct.executemany("INSERT INTO kept VALUES ($1, $2)", [(n, "letters") for n in range(3)])
    await strike(control, "corrupt_message", {"type": "DataRow", "text": "^select who", "nth": 2}, every=7)
    told = [row[0] for row in await within(sql.fetch("SELECT who FROM kept ORDER BY n"))]
    assert (told[0], len(told[1]), told[2]) == ("letters", 7, "letters")
    assert sum(a != b for a, b in zip(told[1], "letters", strict=True)) == 1
    assert await hits(control) == 1


async def test_a_statement_is_late_by_its_delay(control: FaultControl, sql: asyncpg.Connection) -> None:
    await strike(control, "delay_message", {"type": "Execute", "text": "^select 2"}, delay=100)
    began = time.monotonic()
    assert [await within(sql.fetchval(f"SELECT {n}")) for n in (1, 2, 3)] == [1, 2, 3]
    assert time.monotonic() - began >= 0.1
    assert await hits(control) == 1


# -- Redis --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def store(control: FaultControl, lab: Lab) -> AsyncIterator[redis.Redis]:
    """By way of the proxy."""
    client = plain(await through(control, lab.redis.url, "redis"))
    await client.ping()
    yield client
    await client.connection.disconnect(nowait=True)


def plain(url: str) -> redis.Redis:
    """A client on one connection, which tries nothing again."""
    return redis.Redis.from_url(url, single_connection_client=True, retry=None, retry_on_timeout=False)


@pytest.fixture
async def past(lab: Lab) -> AsyncIterator[redis.Redis]:
    """Past the proxy."""
    async with redis.Redis.from_url(lab.redis.url) as client:
        yield client


@pytest.fixture
async def key(past: redis.Redis) -> AsyncIterator[str]:
    name = f"half:{uuid.uuid4().hex}"
    yield name
    await past.delete(name)


@pytest.mark.parametrize(
    ("kind", "attributes", "value"),
    [
        ("cut", {**DOWN, "when": "before"}, b"x"),
        ("cut", {**DOWN, "when": "middle", "how": "close"}, b"x"),
        ("truncate_message", {**UP, "bytes": 9}, None),
        ("truncate_message", {**DOWN, "bytes": 2}, b"x"),
    ],
)
async def test_a_set_is_broken_off(
    control: FaultControl, store: redis.Redis, past: redis.Redis, key: str,
    kind: str, attributes: dict[str, Any], value: bytes | None,
) -> None:  # fmt: skip
    await strike(control, kind, {"text": f"^SET {key}"}, **attributes)
    assert await within(store.get(key)) is None
    with pytest.raises(GONE):
        await within(store.set(key, "x"))
    assert await past.get(key) == value
    assert [(hit["hits"], hit["last"]) for hit in await control.hits("edge", "it")] == [(1, f"SET {key} x")]


@pytest.mark.parametrize(
    ("kind", "attributes", "value"),
    [
        ("drop_message", UP, None),
        ("drop_message", DOWN, b"x"),
        ("stall", UP, None),
        ("stall", DOWN, b"x"),
        ("delay_message", {**UP, "delay": 3_600_000}, None),
        ("delay_message", {**DOWN, "delay": 3_600_000}, b"x"),
    ],
)
async def test_a_set_waits_for_its_answer(
    control: FaultControl, store: redis.Redis, past: redis.Redis, key: str,
    kind: str, attributes: dict[str, Any], value: bytes | None,
) -> None:  # fmt: skip
    await strike(control, kind, {"key": key}, **attributes)
    assert await within(store.ping())
    asked = asyncio.ensure_future(store.set(key, "x"))
    await struck(control)
    assert await past.get(key) == value
    assert not asked.done()
    assert await hits(control) == 1
    await control.remove_toxic("edge", "it")
    if kind == "drop_message":  # it is lost for good
        asked.cancel()
        assert await past.get(key) == value
    else:
        assert await within(asked) is True
        assert await past.get(key) == b"x"


@pytest.mark.parametrize(("stream", "value"), [("upstream", b"2"), ("downstream", b"1")])
async def test_a_command_that_comes_twice_is_done_twice_and_an_answer_that_does_is_not(
    control: FaultControl, store: redis.Redis, past: redis.Redis, key: str, stream: str, value: bytes
) -> None:
    await strike(control, "duplicate_message", {"text": "^INCR"}, stream=stream)
    assert await within(store.incr(key)) == 1
    assert await within(store.execute_command("ECHO", "hello")) == int(value), "the second answer is still to come"
    assert await past.get(key) == value
    assert await hits(control) == 1


async def test_two_writes_change_places(control: FaultControl, store: redis.Redis, past: redis.Redis, key: str) -> None:
    await strike(control, "reorder_message", {"text": "^SET .* first$"})
    assert await within(store.pipeline(transaction=False).set(key, "first").set(key, "second").execute()) == [True] * 2
    assert await past.get(key) == b"first"
    assert await hits(control) == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("LOADING Redis is loading the dataset in memory", exceptions.BusyLoadingError),
        ("READONLY You can't write against a read only replica.", exceptions.ReadOnlyError),
        ("OOM command not allowed when used memory > 'maxmemory'.", exceptions.OutOfMemoryError),
        ("MASTERDOWN Link with MASTER is down", exceptions.MasterDownError),
    ],
)
async def test_a_set_with_an_injected_error_is_not_there(
    control: FaultControl, store: redis.Redis, past: redis.Redis, key: str, text: str, error: type[Exception]
) -> None:
    await strike(control, "redis_error", {"text": f"^SET {key} no"}, text=text)
    with pytest.raises(error):
        await within(store.set(key, "no"))
    assert await past.get(key) is None
    assert await within(store.set(key, "yes")) is True
    assert await past.get(key) == b"yes"
    assert await hits(control) == 1


async def test_an_answer_has_other_bytes_of_the_same_length(
    control: FaultControl, store: redis.Redis, past: redis.Redis, key: str
) -> None:
    await past.set(key, "letters")
    await strike(control, "corrupt_message", {"type": "reply", "text": "^GET", "first": 1}, every=7)
    told = await within(store.get(key))
    assert (len(told), sum(a != b for a, b in zip(told, b"letters", strict=True))) == (7, 1)
    assert await within(store.get(key)) == await past.get(key) == b"letters"
    assert await hits(control) == 1


# -- which of those that fit --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "refused"),
    [({"nth": 4}, [4]), ({"every": 5}, [5, 10]), ({"first": 3}, [1, 2, 3]), ({"every": 4, "first": 8}, [4, 8]),
     ({"probability": 0}, []), ({"probability": 0.5}, None)],
)  # fmt: skip
async def test_counts_and_chance_say_which_are_struck(
    control: FaultControl, store: redis.Redis, past: redis.Redis, key: str, count: dict[str, Any], refused: list[int]
) -> None:
    await strike(control, "redis_error", {"text": "^INCRBY", "key": "half:*", **count}, text="ERR no")
    pipeline = store.pipeline(transaction=False)
    for _ in range(12):
        pipeline.incr(key).get(key)
    answers = (await within(pipeline.execute(raise_on_error=False)))[::2]
    errors = [n for n, answer in enumerate(answers, 1) if isinstance(answer, Exception)]
    assert errors == refused if refused is not None else 0 < len(errors) < 12
    assert int(await past.get(key)) == 12 - len(errors)
    assert await hits(control) == len(errors)


async def test_one_connection_is_struck_and_the_others_are_not(
    control: FaultControl, store: redis.Redis, lab: Lab, key: str
) -> None:
    await strike(control, "redis_error", {"connection": 2, "key": key}, text="ERR no")
    listen = (await control.proxies())["edge"]["listen"]
    second, third = [plain(f"redis://{listen}/0") for _ in range(2)]
    for client, told in ((store, b"1"), (second, None), (third, b"1"), (second, None), (store, b"1")):
        await within(client.set(key, "1")) if told else None
        with pytest.raises(redis.ResponseError) if told is None else contextlib.nullcontext():
            assert await within(client.get(key)) == told
    assert [(hit["connection"], hit["hits"]) for hit in await control.hits("edge", "it")] == [(2, 2)]
    for client in (second, third):
        await client.connection.disconnect(nowait=True)
