"""A lab that waits for the next notebook: who gets it, who does not, and that whatever ends, nothing of it is left."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from netra_sim import Lab
from netra_sim.kernel.errors import HostGone
from netra_sim.lab import keeper, state, tree, waiting
from netra_sim.lab.client import HOST as REAL
from netra_sim.lab.client import HostClient
from netra_sim.lab.settings import SEED, TIME_SCALE
from netra_sim.lab.waiting import KEEPER
from tests.service.lab_client import HOST
from tests.service.lab_footprint import Footprint, base_for, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is left is read from /proc")
HERE, CHECKOUT = Path(__file__).parent, Path(__file__).parents[2]
PIPE = asyncio.subprocess.PIPE


@pytest.fixture
def base(monkeypatch):
    with base_for() as base:
        monkeypatch.setenv("NETRA_DATA_DIR", str(base))
        monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
        yield base


@pytest.fixture
async def kept(base, monkeypatch):
    """A keeper of test labs, a process of its own, which this process's clients ask."""
    async with keeping(monkeypatch, {}, HOST) as process:
        yield process


@asynccontextmanager
async def keeping(monkeypatch, params: dict, host: tuple[str, ...]) -> AsyncIterator[asyncio.subprocess.Process]:
    words = (sys.executable, "-m", "netra_sim.lab.keeper", str(os.getpid()), json.dumps(params), *host)
    process = await asyncio.create_subprocess_exec(*words, stdout=PIPE)
    monkeypatch.setenv(KEEPER, json.loads(await process.stdout.readline())["socket"])
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.communicate()


@asynccontextmanager
async def lab(params: dict | None = None) -> AsyncIterator[tuple[HostClient, dict]]:
    client = HostClient(HOST)
    try:
        yield client, await client.start_lab(params or {})
    finally:
        await client.close()


def hosts(process: asyncio.subprocess.Process) -> set[int]:
    """The hosts that the keeper has started, and that have not ended."""
    return {child.pid for child in psutil.Process(process.pid).children() if tree.start_time(child.pid) is not None}


def lab_of(host: int, base: Path) -> Path | None:
    """The directory of a host's lab, once it has one."""
    notes = ((note.parent, json.loads(note.read_text())) for note in state.home(base).glob("lab-*/lab.json"))
    return next((directory for directory, note in notes if note["pid"] == host), None)


async def waiting_one(process: asyncio.subprocess.Process, base: Path, *others: int) -> tuple[int, Path]:
    """The host that waits and its lab's directory, once all of the lab runs."""
    await until(lambda: hosts(process) - set(others))
    (host,) = hosts(process) - set(others)
    await until(lambda: lab_of(host, base))
    directory = lab_of(host, base)
    await until(lambda: len(Footprint.of(directory, host).ports) == 4)  # postgres, redis, proxy, worker
    return host, directory


async def test_a_lab_that_was_up_before_is_handed_over_and_works(kept, base):
    waited, directory = await waiting_one(kept, base)
    async with lab() as (client, answer):
        assert client.pid == waited and answer["dir"] == str(directory)
        assert answer["servers"]["postgres"].startswith("PostgreSQL")
        events: list[dict] = []
        big = "x" * 3_000_000
        assert (await client.call("say", {"big": big}, events.append))["big"] == big and len(events) == 3
        assert await client.call("ailing") == []
    assert not directory.exists() and tree.start_time(waited) is None


async def test_the_next_client_gets_the_next_lab(kept, base):
    async with lab() as (one, first), lab() as (other, second):
        assert {one.pid, other.pid} <= hosts(kept) and one.pid != other.pid and first["id"] != second["id"]
        await one.close()
        assert await other.call("ailing") == []


async def test_only_one_lab_waits_so_of_two_clients_at_once_one_starts_its_own(kept, base):
    async with asyncio.TaskGroup() as group:
        clients = [HostClient(HOST) for _ in range(2)]
        for client in clients:
            group.create_task(client.start_lab({}))
    assert len({c.pid for c in clients} & hosts(kept)) == 1
    assert len({c.pid for c in clients} & {p.pid for p in psutil.Process().children()}) == 1
    for client in clients:
        await client.close()


@pytest.mark.parametrize("what", ["settings", "variable", "program", "nobody listens", "not a request"])
async def test_who_wants_another_lab_starts_it_and_the_one_that_waits_goes_on_waiting(kept, base, what, monkeypatch):
    waited, directory = await waiting_one(kept, base)
    path = os.environ[KEEPER]
    client = HostClient((HOST[0], "-B", HOST[1]) if what == "program" else HOST)
    if what == "variable":
        monkeypatch.setenv("NETRA_REDIS_PORT", "")
    elif what == "nobody listens":
        monkeypatch.setenv(KEEPER, f"{path}.gone")
    elif what == "not a request":
        with socket.socket(socket.AF_UNIX) as wrong:
            wrong.connect(path)
            wrong.sendall(b"nonsense")
    await client.start_lab({"seed": 8} if what == "settings" else {})
    if what == "not a request":
        assert client.pid == waited
    else:
        assert client.pid not in hosts(kept) and hosts(kept) == {waited} and directory.exists()
    await client.close()


async def test_a_keeper_that_stands_still_is_not_waited_for_and_loses_nothing(kept, base, monkeypatch):
    waited, _ = await waiting_one(kept, base)
    monkeypatch.setattr(waiting, "PATIENCE", 0.1)
    kept.send_signal(signal.SIGSTOP)
    async with lab() as (client, _):
        assert client.pid != waited
    kept.send_signal(signal.SIGCONT)
    monkeypatch.undo()
    monkeypatch.setenv("NETRA_DATA_DIR", str(base))
    assert hosts(kept) == {waited}


@pytest.mark.parametrize("what", ["host killed", "server killed", "server frozen"])
async def test_a_lab_that_is_not_well_is_not_handed_over_but_a_new_one(kept, base, what):
    waited, directory = await waiting_one(kept, base)
    footprint = Footprint.of(directory, waited)
    server = next(p for p in state.belonging(directory / "redis"))
    if what == "host killed":
        os.kill(waited, signal.SIGKILL)
    elif what == "server killed":
        server.kill()
        await until(lambda: tree.start_time(server.pid) is None)
    else:
        server.suspend()
    async with lab() as (client, answer):
        assert client.pid != waited and client.pid in hosts(kept) and answer["dir"] != str(directory)
        assert await client.call("ailing") == []
        await footprint.gone()


@asynccontextmanager
async def within(base: Path, monkeypatch, host: tuple[str, ...]) -> AsyncIterator[keeper.Keeper]:
    """A keeper in this process."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(base / "socket"))
    listener.listen()
    listener.setblocking(False)
    monkeypatch.setenv(KEEPER, str(base / "socket"))
    made = keeper.Keeper(host, {})
    serving = asyncio.create_task(made.serve(listener))
    try:
        yield made
    finally:
        serving.cancel()
        await made.end()
        listener.close()


async def test_a_lab_whose_code_was_edited_meanwhile_is_not_handed_over(base, tmp_path, monkeypatch):
    (module := tmp_path / "module.py").touch()
    monkeypatch.setattr(keeper, "PACKAGE", tmp_path)
    async with within(base, monkeypatch, HOST), lab() as (client, first):
        old = await until_another(client.pid)
        os.utime(module, (2e9, 2e9))
        async with lab() as (other, second):
            assert other.pid != old and second["id"] != first["id"]
            assert tree.start_time(old) is None


async def until_another(known: int) -> int:
    """The host that this process's keeper has begun beside the known one."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [p.pid for p in psutil.Process().children() if p.pid != known and HOST[1] in p.cmdline()]
        return bool(found)

    await until(look)
    return found[0]


async def test_why_no_lab_can_start_is_told_by_the_keeper_and_to_the_client(base, monkeypatch, capfd):
    wrong = (HOST[0], "-c", "raise SystemExit('no such thing')")
    async with within(base, monkeypatch, wrong):
        for _ in range(2):
            client = HostClient(wrong)
            with pytest.raises(HostGone, match="exit code 1; its last words: no such thing"):
                await client.start_lab({})
            await client.close()
    told = capfd.readouterr().err
    assert told.count("no lab waits for the next notebook") >= 2 and "no such thing" in told


async def test_how_a_host_ended_is_told_whoever_started_it(kept, base):
    async with lab() as (client, _):
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(HostGone, match="SIGKILL"):
            await client.call("hang")


async def test_no_program_that_a_notebook_starts_keeps_the_lab_up(kept, base):
    async with lab() as (client, answer):
        child = await asyncio.create_subprocess_exec("sleep", "60", close_fds=False)  # as os.system would
        try:
            await client.close()
            assert not Path(answer["dir"]).exists()
        finally:
            child.kill()
            await child.wait()


async def test_when_the_keeper_is_killed_its_lab_ends_and_those_handed_over_go_on(kept, base):
    async with lab() as (client, answer):
        waited, directory = await waiting_one(kept, base, client.pid)
        footprint = Footprint.of(directory, waited)
        kept.kill()
        await footprint.gone()
        assert await client.call("ailing") == []
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(HostGone, match="it ended"):  # nobody is left to tell by what
            await client.call("hang")
        await until(lambda: not Path(answer["dir"]).exists())
    async with lab() as (client, _):  # its socket is there, but nobody listens
        assert client.pid in {p.pid for p in psutil.Process().children()}
    assert len(state.sweep(base)) <= 1  # the socket's folder, unless the lab's start has removed it
    assert not list(base.iterdir())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_keeper_ends_in_order_with_the_lab_that_waits_or_comes_up(kept, base, how):
    await until(lambda: state.belonging(base))
    footprint = Footprint.of(base, kept.pid)
    kept.send_signal(how)
    await footprint.gone()
    assert await kept.wait() == 0


@asynccontextmanager
async def owner(base: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A notebook's kernel with a lab from its keeper, in the place of JupyterLab."""
    words = (sys.executable, "-m", "tests.service.lab_keeper", sys.executable, str(HERE / "lab_client.py"))
    process = await asyncio.create_subprocess_exec(*words, stdout=PIPE, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_when_the_program_beside_it_ends_nothing_is_left(base, how):
    async with owner(base) as process:
        told = json.loads(await process.stdout.readline())
        assert json.loads(await process.stdout.readline()) == {"hanging": True}
        (kept,) = psutil.Process(process.pid).children()
        assert told["host"] in {child.pid for child in kept.children()}
        footprint = Footprint.of(base, process.pid, told["host"])
        assert kept.pid in footprint.started and footprint.ports
        os.killpg(process.pid, how)
        await process.wait()
        await footprint.gone()


async def test_when_a_kernel_is_killed_its_lab_is_gone_and_the_next_one_waits_on(kept, base):
    kernel = await asyncio.create_subprocess_exec(sys.executable, str(HERE / "lab_client.py"), stdout=PIPE)
    told = json.loads(await kernel.stdout.readline())
    waited, _ = await waiting_one(kept, base, told["host"])
    footprint = Footprint.of(Path(told["dir"]), told["host"])
    assert len(footprint.ports) == 4
    kernel.kill()
    await kernel.wait()
    await footprint.gone()
    async with lab() as (client, _):
        assert client.pid == waited


async def test_with_fixed_ports_no_lab_waits_as_the_notebooks_own_could_not_start(base, monkeypatch):
    monkeypatch.setenv("NETRA_REDIS_PORT", "16379")
    program = (sys.executable, "-c", "import os; print(os.environ.get('NETRA_KEEPER'))")
    words = (sys.executable, "-m", "netra_sim", "keep", *program)
    process = await asyncio.create_subprocess_exec(*words, stdout=PIPE, stderr=PIPE)
    told, errors = await process.communicate()
    assert told == b"None\n" and b"ports are fixed" in errors and process.returncode == 0


async def test_a_notebook_plays_in_the_lab_that_waited(base, tmp_path, monkeypatch):
    (tmp_path / "noxfile.py").touch()
    monkeypatch.chdir(tmp_path)
    async with keeping(monkeypatch, {"seed": SEED, "time_scale": TIME_SCALE}, REAL) as kept, Lab() as lab:
        assert lab._client.pid in hosts(kept)
        play = await lab.play(users=1)
        await play.answers(1)
        assert any(op.outcome == "ok" for op in (await play.stop()).history.ops("chat"))
