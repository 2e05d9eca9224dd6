"""Real services and workers that are killed, frozen, limited or given a wrong clock, and come back as they were."""

import asyncio
import contextlib
import os
import re
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import jwt
import psutil
import pytest
import pytest_asyncio

from netra_sim.faults.control import FaultControl
from netra_sim.faults.nemesis import Nemesis
from netra_sim.faults.plan import Plan, Step
from netra_sim.faults.residue import residue
from netra_sim.kernel.errors import LabError
from netra_sim.kernel.history import HistoryWriter
from netra_sim.lab.lab import Lab
from netra_sim.lab.limits import possible
from netra_sim.scenarios.platform import Platform, platform, services
from tests.service.proxying import proxy_process
from tests.service.visitor import Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")
linux = pytest.mark.skipif(not possible(), reason="only Linux limits what runs")
CAP_SYS_RESOURCE = 24  # linux/capability.h
NAME = f"t{uuid.uuid4().hex[:12]}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def control() -> AsyncIterator[FaultControl]:
    with proxy_process() as running:
        async with FaultControl(running.url) as control:
            yield control


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def at(lab: Lab, control: FaultControl) -> AsyncIterator[Platform]:
    async with platform(lab, control, NAME, 1) as running:
        yield running


@contextlib.asynccontextmanager
async def struck(lab: Lab, at: Platform, control: FaultControl, step: Step) -> AsyncIterator[Any]:
    """The process while the step is in force; afterwards it is healed, and nothing is left of it."""
    history, blow = HistoryWriter(), asyncio.Event()
    processes = {**services(lab), **at.processes}
    nemesis = Nemesis(Plan([step]), control, processes, history, f"{NAME}/", struck=blow.set)
    life = asyncio.create_task(nemesis.run())
    await asyncio.wait_for(blow.wait(), 20)
    try:
        yield processes[history.freeze().faults()[0].target]
    finally:
        life.cancel()
        await asyncio.wait([life])
    (fault,) = history.freeze().faults()
    assert None not in (fault.fired, fault.healed)
    left = [fact for process in processes.values() for fact in await process.altered()]
    assert [*await residue(control, f"{NAME}/", processes), *left] == []


async def test_a_worker_chosen_by_seed_is_killed_and_comes_back_on_its_port_behind_the_edge(lab, at, control):
    async with struck(lab, at, control, Step("kill", "worker", 0)) as worker:
        port = worker.port
        assert not worker.alive
        assert not await answers(port)
    assert (worker.alive, worker.port) == (True, port)
    assert await answers(port)
    edge = Worker(httpx.URL(at.url).port or 0, None)
    assert [await edge.alive() for _ in at.processes] == [True] * len(at.processes)


async def test_a_paused_worker_answers_nobody_and_goes_on(lab, at, control):
    async with struck(lab, at, control, Step("pause", "worker-1", 0)) as worker:
        pid = worker.pid
        assert worker.paused
        assert not await answers(worker.port, 0.2)
    assert worker.pid == pid
    assert await answers(worker.port)


@linux
async def test_a_worker_with_no_more_files_takes_no_connection_until_they_are_back(lab, at, control):
    worker = at.processes["worker-1"]
    before = limits(worker.pid)
    async with struck(lab, at, control, Step("limit_files", "worker-1", 0)):
        assert limits(worker.pid) != before
        assert not await answers(worker.port, 0.5)
        assert worker.alive
        assert await worker.altered() == [{"what": "limited files", "name": worker.name}]
    assert limits(worker.pid) == before
    assert await answers(worker.port)


@linux
async def test_a_limit_leaves_so_many_files_and_not_one_more(lab, at, control):
    worker = at.processes["worker-2"]
    step = Step("limit_files", "worker-2", 0, attributes={"more": 2})
    async with struck(lab, at, control, step), held(worker.port), held(worker.port):
        assert not await answers(worker.port, 0.5)
    assert await answers(worker.port)


@linux
async def test_the_memory_of_a_worker_is_limited_and_given_back(lab, at, control):
    worker = at.processes["worker-1"]
    before = limits(worker.pid)
    mapped = psutil.Process(worker.pid).memory_info().vms
    async with struck(lab, at, control, Step("limit_memory", "worker-1", 0, attributes={"more": 32})):
        (soft, hard), files = limits(worker.pid)
        assert mapped + (31 << 20) <= soft <= mapped + (40 << 20)
        assert (hard, files) == (before[0][1], before[1])
        assert await answers(worker.port)
        assert await worker.altered() == [{"what": "limited memory", "name": worker.name}]
    assert limits(worker.pid) == before


@linux
async def test_a_limit_ends_with_its_process(lab, at, control):
    worker = at.processes["worker-2"]
    before = limits(worker.pid)
    async with struck(lab, at, control, Step("limit_memory", "worker-2", 0)):
        await worker.kill()
        assert await worker.altered() == []
        with pytest.raises(LabError, match="does not run"):
            await worker.limit("files", 0)
        await worker.restart()
        assert limits(worker.pid) == before


@linux
@pytest.mark.skipif(os.geteuid() == 0, reason="root runs Postgres as another user")
async def test_all_of_postgres_is_limited_and_gets_it_back(lab, at, control):
    server = lab.postgres
    before = limits(server.pid)
    async with struck(lab, at, control, Step("limit_files", "postgres", 0, attributes={"more": 50})):
        assert all(limits(p.pid) != before for p in family(server.pid))
    assert {limits(p.pid) for p in family(server.pid)} == {before}


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
async def test_processes_of_another_user_cannot_be_limited_and_that_is_told(lab):
    capabilities = re.findall(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())[0]
    if int(capabilities, 16) >> CAP_SYS_RESOURCE & 1:
        pytest.skip("it may limit everybody's processes")
    with pytest.raises(LabError, match="CAP_SYS_RESOURCE"):
        await lab.postgres.limit("files", 50)
    assert await lab.postgres.altered() == []


async def test_tokens_of_a_worker_whose_clock_is_wrong_are_refused_by_the_others(lab, at, control):
    wrong, right = (Worker(at.processes[name].port, None) for name in ("worker-1", "worker-2"))
    step = Step("clock_offset", "worker-1", 0, attributes={"seconds": 3600.0})
    async with struck(lab, at, control, step) as worker:
        assert worker.port == wrong.port
        assert await worker.altered() == [{"what": "wrong clock", "name": worker.name}]
        early, timely = await wrong.sign_up(), await right.sign_up()
        assert claim(early.access, "iat") == pytest.approx(time.time() + 3600, abs=60)
        assert await me(wrong, early) == 200
        assert await me(right, early) == 401  # not valid yet
        assert await me(wrong, timely) == 401  # expired
        assert await me(right, timely) == 200
    later = await wrong.sign_up()
    assert [await me(worker, later) for worker in (wrong, right)] == [200, 200]


async def test_clickhouse_is_killed_and_has_its_rows_again(lab, at, control):
    async with await clickhouse_connect.get_async_client(dsn=at.logs_url, compress=False) as client:
        await client.command("CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n")
        await client.insert("kept", [[7]], column_names=["n"])
    port = lab.clickhouse.port
    async with struck(lab, at, control, Step("kill", "clickhouse", 0)):
        assert not lab.clickhouse.alive
    assert lab.clickhouse.port == port
    async with await clickhouse_connect.get_async_client(dsn=at.logs_url, compress=False) as client:
        assert (await client.query("SELECT n FROM kept")).result_rows == [(7,)]
        await client.command("DROP TABLE kept")


@pytest.mark.parametrize("kind", ["kill", "restart", "pause"])
async def test_the_model_server_is_struck_and_answers_again(lab, at, control, kind):
    async with struck(lab, at, control, Step(kind, "llm", 0)):
        pass
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(lab.llm_url.removesuffix("/v1") + "/requests?key=none")).status_code == 200


async def test_what_has_no_clock_of_its_own_says_so(lab):
    with pytest.raises(LabError, match="redis has no clock"):
        await lab.redis.offset_clock(5)
    with pytest.raises(LabError, match="llm has no clock"):
        await lab.llm.offset_clock(5)


async def answers(port: int, within: float = 5.0) -> bool:
    """Whether a new connection is answered."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=within) as client:
            return (await client.get(f"http://127.0.0.1:{port}/health/live")).status_code == 200
    except httpx.TransportError:
        return False


@contextlib.asynccontextmanager
async def held(port: int) -> AsyncIterator[httpx.AsyncClient]:
    """A connection that the server has accepted and answered, kept open."""
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://127.0.0.1:{port}/health/live")).status_code == 200
        yield client


def family(pid: int | None) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def limits(pid: int | None) -> tuple[Any, Any]:
    """Memory and files."""
    process = psutil.Process(pid)
    return process.rlimit(psutil.RLIMIT_AS), process.rlimit(psutil.RLIMIT_NOFILE)


def claim(token: str, name: str) -> float:
    return float(jwt.decode(token, options={"verify_signature": False})[name])


async def me(worker: Worker, user: Any) -> int:
    async with worker.http(user) as http:
        return (await http.get("/auth/me")).status_code
