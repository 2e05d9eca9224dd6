"""Whatever ends a lab's owner, and whoever that is: nothing of the lab is left."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from netra_sim.lab import state, sysv, tree
from netra_sim.lab.lab import Lab
from tests.service.lab_footprint import Footprint, as_whom, base_for, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is left is read from /proc")
CLIENT = Path(__file__).with_name("lab_client.py")
CHECKOUT = Path(__file__).parents[2]
PERSONAS = ("root", "container", "ordinary")
ENDS = {
    "client killed": ("client", signal.SIGKILL),
    "client interrupted": ("client", signal.SIGINT),
    "client terminated": ("client", signal.SIGTERM),
    "host killed": ("host", signal.SIGKILL),
    "host terminated": ("host", signal.SIGTERM),
    "host interrupted": ("host", signal.SIGINT),
}
MOMENTS = {
    "first process": state.belonging,
    "shared memory of initdb": lambda base: Footprint.of(base).segments,
}


class Kernel:
    """A client process with its host, and what it told."""

    def __init__(self, process: asyncio.subprocess.Process, base: Path) -> None:
        self.process, self.base, self.host = process, base, 0
        self.before = frozenset(sysv.segments())

    async def hear(self) -> dict:
        assert self.process.stdout
        line = await self.process.stdout.readline()
        assert line, (await self.process.stderr.read()).decode()
        return json.loads(line)

    def footprint(self) -> Footprint:
        return Footprint.of(self.base, self.process.pid, self.host, before=self.before)

    def end(self, how: str) -> None:
        whom, number = ENDS[how]
        os.kill(self.process.pid if whom == "client" else self.host, number)


@asynccontextmanager
async def kernel(base: Path, prefix: tuple[str, ...]) -> AsyncIterator[Kernel]:
    pipe = asyncio.subprocess.PIPE
    environment = {
        **os.environ,
        "NETRA_DATA_DIR": str(base),
        "HOME": str(base),  # ours may be closed to another user, and Postgres' client looks there for a password
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    process = await asyncio.create_subprocess_exec(
        *prefix, sys.executable, str(CLIENT), env=environment, cwd="/", stdout=pipe, stderr=pipe, start_new_session=True
    )
    made = Kernel(process, base)
    try:
        made.host = (await made.hear())["host"]
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("persona", PERSONAS)
async def test_nothing_is_left_of_a_running_lab(persona: str, how: str) -> None:
    account, prefix = as_whom(persona)
    with base_for(account) as base:
        async with kernel(base, prefix) as client:
            assert (await client.hear())["servers"]["postgres"].startswith("PostgreSQL")
            assert await client.hear() == {"hanging": True}
            footprint = client.footprint()
            assert len(footprint.ports) == 4 and footprint.segments  # postgres, redis, proxy, worker
            client.end(how)
            await client.process.wait()
            await footprint.gone()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("persona", PERSONAS)
async def test_nothing_is_left_of_a_lab_that_was_starting(persona: str, how: str, moment: str) -> None:
    account, prefix = as_whom(persona)
    with base_for(account) as base:
        async with kernel(base, prefix) as client:
            await until(lambda: MOMENTS[moment](base))
            footprint = client.footprint()
            client.end(how)
            await client.process.wait()
            await footprint.gone()


@pytest.mark.parametrize("persona", PERSONAS)
async def test_nothing_is_left_when_a_frozen_lab_loses_its_host(persona: str) -> None:
    account, prefix = as_whom(persona)
    with base_for(account) as base:
        async with kernel(base, prefix) as client:
            await client.hear()
            for process in state.belonging(base):
                process.suspend()
            footprint = client.footprint()
            client.end("host killed")
            await footprint.gone()


async def test_interrupting_the_client_ends_it_as_ctrl_c_does() -> None:
    with base_for() as base:
        async with kernel(base, ()) as client:
            await client.hear()
            await client.hear()
            os.killpg(client.process.pid, signal.SIGINT)  # a terminal's ctrl-C; the host is in another group
            _, errors = await client.process.communicate()
            assert b"KeyboardInterrupt" in errors and b"HostGone" not in errors


async def test_the_next_start_sweeps_what_a_dead_host_without_warden_left() -> None:
    with base_for() as base:
        async with kernel(base, ()) as client:
            lab = Path((await client.hear())["dir"])
            footprint = client.footprint()
            warden = next(p for p in psutil.Process(client.host).children() if "netra_sim.lab.warden" in p.cmdline())
            warden.kill()
            await until(lambda: tree.start_time(warden.pid) is None)
            client.end("host killed")
            await client.process.wait()
        assert lab.exists()
        async with Lab(settings={"NETRA_DATA_DIR": str(base)}, children=()):
            assert not lab.exists()
        await footprint.gone()


async def test_no_child_holds_a_pipe_of_its_host_open() -> None:
    with base_for() as base:
        async with kernel(base, ()) as client:
            await client.hear()
            pipes = {os.readlink(f"/proc/{client.host}/fd/{n}") for n in (0, 1, 2)}
            for process in tree.family(client.host)[1:]:
                held = {os.readlink(fd) for fd in Path(f"/proc/{process.pid}/fd").iterdir()}
                assert not held & pipes, process.cmdline()


async def test_two_labs_live_side_by_side_and_no_live_one_is_swept() -> None:
    with base_for() as base:
        settings = {"NETRA_DATA_DIR": str(base)}
        async with Lab(settings=settings, children=()) as one:
            async with Lab(settings=settings, children=()) as other:
                assert state.sweep(base) == []
                assert one.dir != other.dir and one.postgres.url != other.postgres.url
                for lab in (one, other):
                    connection = await asyncpg.connect(lab.postgres.url)
                    assert await connection.fetchval("SHOW cluster_name") == lab.id
                    await connection.close()
            assert one.postgres.alive and one.redis.alive and one.dir.exists() and not other.dir.exists()
        assert not list(base.iterdir())


async def test_the_lab_of_another_live_process_is_not_swept() -> None:
    with base_for() as base:
        async with kernel(base, ()) as client:
            lab = Path((await client.hear())["dir"])
            async with Lab(settings={"NETRA_DATA_DIR": str(base)}, children=()):
                assert lab.exists()
            assert lab.exists() and state.belonging(lab)
            footprint = client.footprint()
            assert footprint.left()
            client.end("client killed")
            await footprint.gone()
