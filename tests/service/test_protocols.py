"""A lab whose edges understand what passes: a plan's step names a statement, and strikes that one alone."""

import asyncio
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from netra_sim.faults.control import FaultControl
from netra_sim.faults.nemesis import Nemesis
from netra_sim.faults.plan import Plan, Step
from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.history import HistoryWriter
from netra_sim.lab.lab import Lab
from netra_sim.scenarios.platform import platform
from tests.service.proxying import within

SECOND = {"type": ["Query", "Execute"], "text": "^update kept", "nth": 2}
STEP = Step("pg_error", "postgres", at=0.0, attributes={"match": SECOND}, label="conflict")


async def test_a_step_of_a_plan_refuses_the_second_update_on_a_labs_edge() -> None:
    history = HistoryWriter()
    async with (
        Lab(settings={"NETRA_CLICKHOUSE": "off"}, protocols=True) as lab,
        FaultControl(lab.proxy.url) as control,
        platform(lab, control, "named", seed=1) as at,
    ):
        edges = await control.proxies("named/")
        assert {name: edge["protocol"] for name, edge in edges.items()} == {
            "named/postgres": "postgres", "named/redis": "redis", "named/llm": "http", "named/edge": "http"
        }  # fmt: skip
        async with httpx.AsyncClient(trust_env=False) as users:
            assert (await users.get(f"{at.url}/health/live")).status_code == 200
        fired = history.first(lambda record: record.phase == "fired")
        striking = asyncio.ensure_future(Nemesis(Plan([STEP]), control, {}, history, "named/").run())
        await within(asyncio.wait([fired, striking], return_when=asyncio.FIRST_COMPLETED))
        client = await asyncpg.connect(_by(at.database_url, edges["named/postgres"]["listen"]), ssl=False)
        await client.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (0)")
        told = [await _update(client) for _ in range(3)]
        assert await client.fetchval("SELECT n FROM kept") == 2
        await client.close()
        striking.cancel()
        await asyncio.wait([striking])
        assert await control.proxies("named/postgres") == {"named/postgres": edges["named/postgres"]}
    assert told == ["UPDATE 1", "40001", "UPDATE 1"]
    [fault] = history.freeze().faults()
    assert (fault.kind, fault.hits) == ("pg_error", 1)


def test_a_step_on_messages_strikes_one_direction_which_is_its_kinds_own() -> None:
    assert (STEP.stream, Step("redis_value", "redis", 0.0).stream) == ("upstream", "downstream")
    assert Plan.from_json(Plan([STEP]).to_json()) == Plan([STEP])
    with pytest.raises(BadValue, match="stream cannot be 'both'"):
        Step("cut", "postgres", 0.0, stream="both")


async def _update(client: asyncpg.Connection) -> str:
    try:
        return str(await within(client.execute("UPDATE kept SET n = n + $1", 1)))
    except asyncpg.SerializationError as error:
        return str(error.sqlstate)


def _by(url: str, listen: str) -> str:
    """The same URL by way of a proxy."""
    parts = urlsplit(url)
    account, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{account}{at}{listen}"))
