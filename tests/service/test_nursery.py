"""Forked workers: in all that can be asked the same as started ones; and what happens when the nursery dies."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from netra_sim.kernel.errors import BadValue, StartFailed
from netra_sim.lab import forked, state, tree
from netra_sim.lab.forked import Nursery
from netra_sim.lab.lab import Lab
from netra_sim.lab.server import Child, Server
from netra_sim.lab.spawn import Command, Process, environment
from tests.service.lab_footprint import base_for, until
from tests.service.visitor import Deployment

pytestmark = pytest.mark.skipif(not forked.possible(forked.PYTHON), reason="this system forks no workers")
CHILD = (*forked.PYTHON, "tests.service.nursery_child")


@pytest.fixture
async def nursery(tmp_path: Path) -> AsyncIterator[Nursery]:
    made = Nursery(["json"], tmp_path / "nursery")
    yield made
    await made.stop()


def a_command(folder: Path, *arguments: str, **variables: str) -> Command:
    folder.mkdir(exist_ok=True)
    return Command("child", (*CHILD, *arguments), folder, folder / "child.log", environment(variables), announces=True)


async def test_a_forked_program_finds_what_a_started_one_finds(nursery, tmp_path):
    command = a_command(tmp_path / "here", SAYS="hello")
    found = []
    for process in (Process(command), await nursery.fork(command)):
        found.append(await process.ready(20.0))
        assert process.alive and psutil.Process(process.pid).cwd() == str(tmp_path / "here")
        await process.kill()
    started, told = found
    assert told == started
    assert told["leads"] and told["environment"]["SAYS"] == "hello"
    assert command.log.read_text() == "a word to stderr\n" * 2


async def test_how_it_ended_is_told(nursery, tmp_path):
    for code in (0, 3):
        process = await nursery.fork(a_command(tmp_path / "ends", str(code)))
        assert await process.wait() == code and not process.alive
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = await nursery.fork(a_command(tmp_path / "waits"))
        await process.ready(20.0)
        os.kill(process.pid, number)
        assert await process.wait() == -number
    await process.terminate(1.0)  # of a dead one: harmless


async def test_it_is_paused_resumed_and_terminated(nursery, tmp_path):
    process = await nursery.fork(a_command(tmp_path / "here"))
    await process.ready(20.0)
    await process.pause()
    assert process.paused
    process.resume()
    await until(lambda: not process.paused)
    await process.terminate(5.0)
    assert await process.wait() == -signal.SIGTERM


async def test_many_are_forked_at_once_and_none_sees_the_variables_of_another(nursery, tmp_path):
    forks = [nursery.fork(a_command(tmp_path / f"w{n}", **{f"ONLY_{n}": str(n)})) for n in range(12)]
    processes = await asyncio.gather(*forks)
    for n, process in enumerate(processes):
        told = (await process.ready(20.0))["environment"]
        assert {name: value for name, value in told.items() if name.startswith("ONLY")} == {f"ONLY_{n}": str(n)}
    first, *others = processes
    await first.kill()
    assert all(process.alive for process in others)


async def test_a_killed_nursery_takes_its_children_along_and_is_replaced(nursery, tmp_path):
    processes = [await nursery.fork(a_command(tmp_path / f"w{n}")) for n in range(2)]
    await asyncio.gather(*(process.ready(20.0) for process in processes))
    first = nursery.process
    os.kill(first.pid, signal.SIGKILL)
    assert [await process.wait() for process in processes] == [-signal.SIGKILL] * 2
    assert not any(tree.start_time(process.pid) for process in processes)
    await first.wait()
    again = await nursery.fork(a_command(tmp_path / "w0", "3"))
    assert await again.wait() == 3 and nursery.process is not first


async def test_the_end_of_a_child_of_a_frozen_nursery_is_seen_all_the_same(nursery, tmp_path, monkeypatch):
    monkeypatch.setattr(forked, "TELLS", 0.1)
    process = await nursery.fork(a_command(tmp_path / "here"))
    os.kill(nursery.process.pid, signal.SIGSTOP)
    await process.kill()
    assert not process.alive


async def test_a_start_that_is_cancelled_leaves_no_process(nursery, tmp_path):
    await nursery.begin().ready(20.0)
    forking = asyncio.create_task(nursery.fork(a_command(tmp_path / "here")))
    await asyncio.sleep(0)  # the request is on its way
    forking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await forking
    await until(lambda: not psutil.Process(nursery.process.pid).children())


@pytest.mark.parametrize(
    ("module", "words"), [("nowhere.at_all", "No module named 'nowhere'"), ("tests.service.nursery_thread", "thread")]
)
async def test_a_nursery_that_cannot_begin_tells_its_last_words(tmp_path, module, words):
    nursery = Nursery([module], tmp_path / "nursery")
    with pytest.raises(StartFailed, match=f"(?s)nursery did not start.*{words}"):
        await nursery.fork(a_command(tmp_path / "here"))
    await nursery.stop()


async def test_a_nursery_that_dies_at_a_request_tells_it(nursery, tmp_path):
    process = nursery.begin()
    await process.ready(20.0)
    await process.pause()
    forking = asyncio.create_task(nursery.fork(a_command(tmp_path / "here")))
    await asyncio.sleep(0)  # the request is on its way
    await process.kill()
    with pytest.raises(StartFailed, match="nursery"):
        await forking


@pytest.mark.asyncio(loop_scope="session")
async def test_a_worker_with_a_wrong_setting_tells_its_last_words(deployment: Deployment):
    with pytest.raises(StartFailed, match=r"(?s)w1 did not start: it ended with exit code 2.*NETRA_SEED.*luck"):
        await deployment.worker(seed="luck", worker="w1")


@pytest.mark.asyncio(loop_scope="session")
async def test_a_worker_ends_in_order_and_starts_again(deployment: Deployment):
    worker = await deployment.worker()
    server: Server = worker.process
    assert psutil.Process(server.pid).ppid() == deployment.lab._nursery.process.pid
    await worker.sign_up()
    await server.stop()
    assert await server.process.wait() == 0
    await server.restart()
    assert worker.port == server.port and await worker.alive()


async def test_the_nursery_holds_back_no_lab_and_ends_with_it():
    with base_for() as base:
        for given, forks in (({}, True), ({"NETRA_NURSERY": "off"}, False)):
            async with Lab(settings={"NETRA_DATA_DIR": str(base), **given}, children=()) as lab:
                assert (lab._nursery is not None) == forks
                named = [p for p in state.belonging(base) if "netra_sim.lab.nursery" in p.cmdline()]
                assert len(named) == forks
            assert not list(base.iterdir()) and not any(p.is_running() for p in named)
    own = Lab(settings={}, children=[Child("proxy", CHILD)], worker=(sys.executable, "worker.py"))
    assert own._nursery is None
    with pytest.raises(BadValue, match="NETRA_NURSERY"):
        Lab(settings={"NETRA_NURSERY": "perhaps"})
