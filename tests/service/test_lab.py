"""A lab as a run uses it: stores that die and come back, namespaces, workers, settings, and errors before a start."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis.asyncio

from netra_sim.kernel.errors import BadValue, LabError, NetraError, NotOurs, PortTaken, StartFailed, Unreachable
from netra_sim.lab import ports, programs, state
from netra_sim.lab.lab import Lab
from netra_sim.lab.server import PORT, Child
from netra_sim.lab.spawn import Command, Process
from tests.service.lab_footprint import base_for, until
from tests.service.lab_host import TINY

MIGRATE = (sys.executable, "-c", """
import asyncio, asyncpg, sys
async def main():
    c = await asyncpg.connect(sys.argv[1])
    await c.execute("CREATE TABLE made (n int)")
    await c.close()
asyncio.run(main())
""")  # fmt: skip


@pytest.fixture
def base() -> Iterator[Path]:
    with base_for() as base:
        yield base


def a_lab(base: Path, children=(), settings=None, **other) -> Lab:
    given = {"NETRA_DATA_DIR": str(base), **(settings or {})}
    return Lab(settings=given, children=children, worker=TINY, migrate=MIGRATE, **other)


@pytest.fixture
async def lab(base) -> AsyncIterator[Lab]:
    async with a_lab(base, [Child("proxy", (*TINY, PORT))]) as lab:
        yield lab


async def ask(url: str, query: str, *arguments):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def test_it_comes_up_and_nothing_is_left_of_it(base):
    async with a_lab(base) as lab:
        assert lab.servers()["postgres"].startswith("PostgreSQL 1")
        assert lab.servers()["redis"].startswith("Valkey ")
    assert not list(base.iterdir())


async def test_a_killed_postgres_comes_back_with_every_commit_on_its_port(lab):
    url = lab.postgres.url
    await ask(url, "CREATE TABLE t (n int)")
    busy = await asyncpg.connect(url)
    query = asyncio.create_task(busy.execute("SELECT pg_sleep(600)"))
    for n in range(20):
        await ask(url, "INSERT INTO t VALUES ($1)", n)
    await lab.postgres.kill()
    assert not lab.postgres.alive and not state.belonging(lab.dir / "postgres")
    with pytest.raises((asyncpg.PostgresConnectionError, ConnectionError)):
        await query
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(url)
    await lab.postgres.kill()
    await lab.postgres.restart()
    assert lab.postgres.url == url and await ask(url, "SELECT count(*) FROM t") == 20


async def test_postgres_starts_again_after_something_else_killed_its_first_process_alone(lab):
    busy = await asyncpg.connect(lab.postgres.url)
    query = asyncio.create_task(busy.execute("SELECT count(*) FROM generate_series(1, 10000000000)"))
    await until(lambda: any("SELECT" in "".join(p.cmdline()) for p in state.belonging(lab.dir / "postgres")))
    os.kill(lab.postgres.pid, signal.SIGKILL)
    await until(lambda: not lab.postgres.alive)
    await lab.postgres.start()
    assert await ask(lab.postgres.url, "SELECT 1") == 1
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await query


async def test_a_prepared_transaction_survives_a_kill(lab):
    url = lab.postgres.url
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE t (n int)")
    await connection.execute("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'one'")
    await lab.postgres.kill()
    await lab.postgres.restart()
    await ask(url, "COMMIT PREPARED 'one'")
    assert await ask(url, "SELECT count(*) FROM t") == 1


async def test_a_paused_postgres_answers_nobody_until_it_goes_on(lab):
    connection = await asyncpg.connect(lab.postgres.url)
    await lab.postgres.pause()
    assert lab.postgres.paused and lab.postgres.alive
    answer = asyncio.create_task(connection.fetchval("SELECT 7"))
    done, _ = await asyncio.wait([answer], timeout=0.2)  # an absence has no event
    assert not done
    await lab.postgres.resume()
    assert await answer == 7 and not lab.postgres.paused
    await connection.close()
    await lab.postgres.pause()
    await lab.postgres.kill()
    await lab.postgres.resume()
    await lab.postgres.restart()
    assert await ask(lab.postgres.url, "SELECT 1") == 1


async def test_a_paused_lab_stops_all_the_same(base):
    async with a_lab(base) as lab:
        await lab.postgres.pause()
        await lab.redis.pause()
    assert not list(base.iterdir())


async def test_redis_keeps_what_it_wrote_and_its_port(base):
    async with a_lab(base, redis={"appendfsync": "always"}) as lab:
        url = lab.redis.url
        async with redis.asyncio.Redis.from_url(url) as client:
            for n in range(50):
                await client.set(f"k{n}", n)
            await lab.redis.kill()
            with pytest.raises(redis.exceptions.ConnectionError):
                await client.ping()
        await lab.redis.restart()
        async with redis.asyncio.Redis.from_url(url) as client:
            assert lab.redis.url == url and await client.dbsize() == 50
            assert (await client.config_get("appendfsync"))["appendfsync"] == "always"


async def test_settings_of_the_stores_can_be_overridden(base):
    given = {"fsync": "off", "max_connections": "17"}
    async with a_lab(base, postgres=given) as lab:
        assert await ask(lab.postgres.url, "SHOW fsync") == "off"
        assert await ask(lab.postgres.url, "SHOW max_connections") == "17"
        assert await ask(lab.postgres.url, "SHOW dynamic_shared_memory_type") == "mmap"


async def test_fixed_ports_are_taken_and_kept(base):
    fixed = {"NETRA_POSTGRES_PORT": str(ports.free_port()), "NETRA_REDIS_PORT": str(ports.free_port())}
    async with a_lab(base, settings=fixed) as lab:
        assert fixed["NETRA_POSTGRES_PORT"] in lab.postgres.url and fixed["NETRA_REDIS_PORT"] in lab.redis.url


@pytest.mark.parametrize("service", ["postgres", "redis"])
async def test_a_fixed_port_in_use_is_told_before_anything_starts(base, service):
    setting = f"NETRA_{service.upper()}_PORT"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"{port}, asked for {service}.*{setting}"):
            await a_lab(base, settings={setting: str(port)}).start()
    assert not list(base.iterdir())


async def test_a_port_that_is_taken_at_the_last_moment_is_replaced_by_another(base, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        found, free = [other.getsockname()[1]] * 2, ports.free_port
        monkeypatch.setattr(ports, "free_port", lambda: found.pop() if found else free())
        async with a_lab(base) as lab:
            assert not found and await ask(lab.postgres.url, "SHOW cluster_name") == lab.id


async def test_a_port_lost_while_a_store_was_dead_is_told(lab):
    await lab.postgres.kill()
    with socket.create_server(("127.0.0.1", lab.postgres.port)), pytest.raises(PortTaken):
        await lab.postgres.restart()
    await lab.postgres.restart()
    assert await ask(lab.postgres.url, "SELECT 1") == 1


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("NETRA_POSTGRES", "postgresql://u:geheim@127.0.0.1:{port}/db"),
        ("NETRA_REDIS", "redis://:geheim@127.0.0.1:{port}/0"),
        ("NETRA_LLM", "http://u:geheim@127.0.0.1:{port}/v1"),
    ],
)
async def test_a_server_that_does_not_answer_is_told_without_its_password_before_anything_starts(base, setting, url):
    children = [Child("llm", (*TINY, PORT))]
    with pytest.raises(Unreachable, match=setting) as caught:
        await a_lab(base, children, {setting: url.format(port=ports.free_port())}).start()
    assert "geheim" not in str(caught.value) and "***@127.0.0.1" in str(caught.value)
    assert not list(base.iterdir())


def test_wrong_settings_are_told_at_once(base):
    for settings in ({"NETRA_POSTGRES": "no"}, {"NETRA_REDIS_PORT": "-1"}, {"NETRA_LLM": "llm"}):
        with pytest.raises(BadValue):
            a_lab(base, settings=settings)
    with pytest.raises(BadValue, match="time_scale"):
        a_lab(base, time_scale=0)


async def test_servers_given_by_url_are_used_and_never_harmed(base, lab):
    children = [Child("llm", (*TINY, PORT))]
    given = {"NETRA_POSTGRES": lab.postgres.url, "NETRA_REDIS": lab.redis.url, "NETRA_LLM": lab.proxy.url + "/v1"}
    async with a_lab(base, children, given) as guest:
        assert guest.postgres.url == lab.postgres.url and guest.llm_url == lab.proxy.url + "/v1"
        assert guest.servers() == {**lab.servers(), "llm": guest.llm_url}
        for service in (guest.postgres, guest.redis, guest.llm):
            assert not service.owned and service.alive and not service.paused
            for action in (service.kill, service.restart, service.pause, service.resume):
                with pytest.raises(NotOurs, match=f"{service.name}.*NETRA_"):
                    await action()
        await guest.create_database("one")
        await guest.drop_namespace("one")
    assert await ask(lab.postgres.url, "SELECT count(*) FROM pg_database WHERE datname LIKE 'netra%'") == 0
    assert lab.redis.alive


@pytest.mark.parametrize("setting", ["NETRA_POSTGRES", "NETRA_REDIS"])
async def test_servers_of_the_machine_work_as_well(base, setting):
    names = ["postgres"] if setting == "NETRA_POSTGRES" else ["redis-server", "valkey-server"]
    if not any(map(shutil.which, names)) and not (names == ["postgres"] and list(programs.DEBIAN.glob("*/bin"))):
        pytest.skip(f"no {names[0]} on this machine")
    async with a_lab(base, settings={setting: "path"}) as lab:
        store = lab.postgres if setting == "NETRA_POSTGRES" else lab.redis
        assert store.owned and store.version.split()[0] in ("PostgreSQL", "Redis", "Valkey")
        await store.kill()
        await store.restart()
    assert not list(base.iterdir())


async def test_namespaces_are_made_from_migrations_that_ran_once_and_leave_nothing(lab):
    one, two = await asyncio.gather(lab.create_database("one"), lab.create_database("two"))
    for url in (one, two):
        await ask(url, "INSERT INTO made VALUES (1)")
        assert await ask(url, "SELECT count(*) FROM made") == 1
    async with redis.asyncio.Redis.from_url(lab.redis.url) as client:
        await client.mset({**{f"one:{n}": n for n in range(1200)}, "two:1": 1, "on*:1": 1, "none": 1})
        held = await asyncpg.connect(one)
        await lab.drop_namespace("one")
        assert held.is_closed() or await until(held.is_closed) is None
        await lab.drop_namespace("other", "on*:")
        assert sorted(await client.keys()) == [b"none", b"two:1"]
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(one)
    await lab.drop_database("one")
    with pytest.raises(BadValue, match="database name"):
        await lab.create_database("x" * 64)


async def test_failing_migrations_are_told_and_tried_again(base):
    async with a_lab(base) as lab:
        lab._migrate = (*TINY, "fail")
        for _ in range(2):
            with pytest.raises(StartFailed, match="migrate") as caught:
                await lab.create_database("one")
            assert "geheim" not in str(caught.value)


async def test_a_worker_is_ready_has_its_variables_and_keeps_its_port(lab):
    one, other = await asyncio.gather(lab.worker({"NETRA_SAYS": "hello", "NETRA_WORKER": "run/w1"}), lab.worker({}))
    assert one.port != other.port and one.name == "run/w1"

    async def echo() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        writer.write(b"7\n")
        answer = await reader.read()
        writer.close()
        return answer

    assert await echo() == b"7\n"
    port = one.port
    await one.kill()
    with pytest.raises(ConnectionRefusedError):
        await echo()
    await one.restart()
    assert one.port == port and await echo() == b"7\n"
    assert "listening hello" in lab.logs()["run/w1"] and "a stray print" in lab.logs()["run/w1"]
    await lab.stop_worker(one)
    await lab.stop_worker(other)
    assert not one.alive and "run/w1" in lab.logs()


@pytest.mark.parametrize("child", [Child("bad", (*TINY, "fail")), Child("bad", (sys.executable, "-c", "print(1/0)"))])
async def test_a_child_that_fails_is_told_with_its_last_words_and_ends_the_lab(base, child):
    lab = a_lab(base, [child])
    with pytest.raises(StartFailed, match=r"(?s)bad did not start: it ended with exit code 1.*(cannot begin|Zero)"):
        await lab.start()
    assert not lab.postgres.alive and not lab.redis.alive and not list(base.iterdir())


async def test_a_postgres_that_fails_is_told_with_its_last_words(base):
    with pytest.raises(StartFailed, match=r"(?s)postgres did not start.*no_such_setting"):
        await a_lab(base, postgres={"no_such_setting": "1"}).start()
    assert not list(base.iterdir())


async def test_a_start_that_is_cancelled_leaves_nothing(base):
    starting = asyncio.create_task(a_lab(base).start())
    await until(lambda: state.belonging(base))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not list(base.iterdir()) and not state.belonging(base)


async def test_what_was_never_started_can_be_stopped_but_not_paused(base):
    lab = a_lab(base)
    await lab.stop()
    with pytest.raises(LabError):
        await lab.postgres.pause()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
async def test_root_runs_postgres_as_nobody_also_from_a_private_place(base, monkeypatch, tmp_path):
    source = programs.postgres_programs("embedded").folder.parent.parent
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for name in (source.name, f"{source.name}.libs"):
        (private / name).symlink_to(source.parent / name)
    cache = base / "cache"
    cache.mkdir(mode=0o755)
    monkeypatch.setattr(programs, "cache_base", lambda: cache)
    monkeypatch.setattr(programs, "reachable", lambda path: False)
    monkeypatch.setattr(programs, "_package", lambda name: private / name if "postgres" in name else None)
    found = programs.for_another_user(programs.postgres_programs("embedded"))
    asked = Process(
        Command("postgres", (str(found.folder / "postgres"), "--version"), base, base / "out.log", user="nobody")
    )
    assert await asked.wait() == 0 and "PostgreSQL" in (base / "out.log").read_text()
    asked = Process(Command("psql", (str(found.folder / "psql"), "--version"), base, base / "out.log", user="nobody"))
    assert await asked.wait() == 0  # finds the libraries beside it


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
async def test_the_postgres_of_root_belongs_to_nobody(lab):
    family = [p for p in state.belonging(lab.dir / "postgres") if "postgres" in p.name()]
    assert family and {p.username() for p in family} == {"nobody"}
    assert psutil.Process(lab.redis.pid).username() == "root"


def test_every_error_can_cross_a_pipe():
    for error in (
        PortTaken(port=1, service="redis", setting="S"),
        NotOurs(action="kill", service="redis", setting="S"),
    ):
        assert str(NetraError.from_dict(error.as_dict())) == str(error)
