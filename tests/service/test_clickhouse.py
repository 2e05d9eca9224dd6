"""The engine behind ClickHouse's HTTP protocol: its client unmodified, its errors, its rows after a kill."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import clickhouse_connect
import httpx
import pytest
import pytest_asyncio
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError

from netra_sim.kernel.errors import LabError
from netra_sim.lab.lab import Lab

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def url(lab: Lab) -> AsyncIterator[str]:
    name = f"t{uuid.uuid4().hex[:12]}"
    yield await lab.create_logs(name)
    await lab.drop_namespace(name)


@pytest_asyncio.fixture(loop_scope="session")
async def client(url: str) -> AsyncIterator[AsyncClient]:
    async with await clickhouse_connect.get_async_client(dsn=url, compress=False) as connected:
        await connected.command("CREATE TABLE t (n UInt32, text String) ENGINE = MergeTree ORDER BY n")
        yield connected


async def test_its_client_works_unmodified(client: AsyncClient):
    await client.insert("t", [[1, "it's\ta\nline"], [2, "ü"]], column_names=["n", "text"])
    asked = await client.query("SELECT text FROM t WHERE n = {n:UInt32}", parameters={"n": 1})
    assert asked.result_rows == [("it's\ta\nline",)]
    bound = await client.query("SELECT n FROM t WHERE text = {text:String}", parameters={"text": "it's\ta\nline"})
    assert bound.result_rows == [(1,)]
    await client.raw_insert("t", ["n", "text"], b"3\tthree\n4\tfour\n", fmt="TabSeparated")
    assert (await client.query("SELECT sum(n) FROM t")).result_rows == [(10,)]


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [("SELECT * FROM nothing", 60, 404), ("SELECT 1 +", 62, 400), ("SELECT throwIf(1)", 395, 500)],
)
async def test_errors_are_the_engines_own(url: str, sql: str, code: int, status: int):
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(url.rpartition("/")[0] + "/", content=sql)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert f"Code: {code}." in answer.text


async def test_a_bad_block_is_refused_and_stores_nothing(client: AsyncClient):
    with pytest.raises(DatabaseError):
        await client.raw_insert("t", ["n", "text"], b"one\ttext\n", fmt="TabSeparated")
    assert (await client.query("SELECT count() FROM t")).result_rows == [(0,)]


async def test_a_long_question_holds_up_no_other(client: AsyncClient, url: str):
    ended: list[str] = []

    async def ask(name: str, sql: str) -> None:
        await client.query(sql)
        ended.append(name)

    async with httpx.AsyncClient(trust_env=False) as http, asyncio.TaskGroup() as group:
        group.create_task(ask("long", "SELECT sleep(1)"))
        group.create_task(ask("short", "SELECT 1"))
        assert (await http.get(url.rpartition("/")[0] + "/ping")).text == "Ok.\n"
    assert ended == ["short", "long"]


async def test_acknowledged_rows_are_there_after_kill_and_restart(lab: Lab, client: AsyncClient):
    for n in range(20):
        await client.insert("t", [[n, "kept"]], column_names=["n", "text"])
    store = lab.clickhouse
    assert store is not None
    before = store.url
    await store.kill()
    await store.restart()
    assert store.url == before
    assert (await client.query("SELECT count() FROM t")).result_rows == [(20,)]


async def test_namespaces_keep_apart_and_go(lab: Lab):
    names = [f"t{uuid.uuid4().hex[:12]}" for _ in range(2)]
    urls = [await lab.create_logs(name) for name in names]
    async with await clickhouse_connect.get_async_client(dsn=urls[0], compress=False) as one:
        await one.command("CREATE TABLE mine (n UInt8) ENGINE = MergeTree ORDER BY n")
    async with await clickhouse_connect.get_async_client(dsn=urls[1], compress=False) as other:
        with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
            await other.query("SELECT * FROM mine")
    with pytest.raises(LabError, match="already exists"):
        await lab.create_logs(names[0])
    for name in names:
        await lab.drop_namespace(name)
        await lab.drop_namespace(name)


async def test_a_lab_may_run_without_clickhouse():
    lab = Lab(settings={"NETRA_CLICKHOUSE": "off"})
    assert lab.clickhouse is None
    assert await lab.create_logs("any") == ""
