"""psql, pgbench, asyncpg and psycopg tell the same through a proxy that reads Postgres's protocol as without it."""

import asyncio
import re
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from netra_sim.faults.control import FaultControl
from netra_sim.lab.lab import Lab
from netra_sim.lab.stores import create_database, drop_database
from tests.service.proxying import within
from tests.service.through import WAYS, Told, clean_environment, machine_program, postgres_program, run, way

SCRIPT = Path(__file__).with_name("through.sql")
ACTIVE = "SELECT count(*) FROM pg_stat_activity WHERE query = $1 AND state = 'active'"
BIG = 1_500_000  # bytes of a value: more than a reader holds of a message
SHOWN = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
CONNECTED = ("-c", "SHOW work_mem", "-c", SHOWN)


@pytest.fixture(params=WAYS)
async def ports(request: pytest.FixtureRequest, control: FaultControl, lab: Lab) -> AsyncIterator[tuple[int, int]]:
    """Of the server, and of the proxy before it."""
    opaque = request.node.get_closest_marker("opaque") is not None
    async with way(control, "postgres", lab.postgres.port, request.param, opaque=opaque) as through:
        yield lab.postgres.port, through


def given(port: int, **more: Any) -> str:
    """A connection string."""
    usual = {"host": "127.0.0.1", "port": port, "user": "postgres", "dbname": "postgres"}
    return " ".join(f"{key}={value}" for key, value in {**usual, **more}.items())


async def psql(port: int, *words: str, program: Path | None = None, **more: Any) -> Told:
    """What psql told, but for what differs between two connections to the same server."""
    told = await run(program or postgres_program("psql"), "-X", "-d", given(port, **more), *words)
    out, err = (re.sub(r"PID \d+|port \d+|pg_temp_\d+", "#", text) for text in (told.out, told.err))
    return Told(told.code, out, err)


async def test_psql_runs_a_script(ports: tuple[int, int]) -> None:
    words = ("-a", "-v", f"big={BIG}", "-f", str(SCRIPT))
    direct, through = [await psql(port, *words) for port in ports]
    assert through == direct
    assert direct.code == 0 and "the end of the script" in direct.out and 'notification "through"' in direct.out


REFUSED = ({"dbname": "nowhere"}, {"user": "nobody"})


@pytest.mark.parametrize(
    "more", [{}, {"options": "'-c work_mem=7MB'", "application_name": "through"}, *REFUSED], ids=str
)
async def test_psql_connects_or_is_refused(ports: tuple[int, int], more: dict[str, str]) -> None:
    direct, through = await asyncio.gather(*(psql(port, *CONNECTED, **more) for port in ports))
    assert through == direct
    assert (direct.code == 0) is (more not in REFUSED)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
async def test_psql_asks_for_encryption(ports: tuple[int, int], mode: str) -> None:
    """By the machine's psql: the package's was built without it. What psycopg asks for by itself is prefer."""
    program = machine_program("psql", "postgresql-client")
    direct, through = await asyncio.gather(*(psql(port, *CONNECTED, program=program, sslmode=mode) for port in ports))
    assert through == direct
    assert (direct.code == 0) is (mode != "require")


async def test_psql_takes_the_latest_protocol(ports: tuple[int, int]) -> None:
    direct, through = [await psql(port, *CONNECTED, max_protocol_version="latest") for port in ports]
    assert through == direct
    assert direct.code == 0


@pytest.mark.opaque
async def test_encryption_without_asking_is_refused(ports: tuple[int, int]) -> None:
    told = []
    for port in ports:
        with pytest.raises(psycopg.OperationalError) as caught:
            await psycopg.AsyncConnection.connect(given(port, sslmode="require", sslnegotiation="direct"))
        told.append(re.sub(r"port \d+", "#", str(caught.value)))
    assert told[0] == told[1]


@pytest.mark.parametrize("version", ["3.0", "latest"])
async def test_an_interrupted_psql_cancels_its_statement(ports: tuple[int, int], lab: Lab, version: str) -> None:
    direct, through = [await interrupted(lab, port, version) for port in ports]
    assert through == direct
    assert "canceling statement due to user request" in direct.err


async def interrupted(lab: Lab, port: int, version: str) -> Told:
    sql = f"SELECT pg_sleep(3600) /* {port} {version} */"
    words = ("-X", "-d", given(port, max_protocol_version=version), "-c", sql)
    process = await asyncio.create_subprocess_exec(
        postgres_program("psql"), *words, stdout=PIPE, stderr=PIPE, env=clean_environment()
    )
    observer = await asyncpg.connect(lab.postgres.url)

    async def active() -> None:
        while not await observer.fetchval(ACTIVE, sql):
            pass

    try:
        await within(active())
        process.send_signal(signal.SIGINT)
        out, err = await within(process.communicate())
    finally:
        await observer.close()
        if process.returncode is None:
            process.kill()
    return Told(process.returncode or 0, out.decode(), err.decode())


# -- pgbench --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def bank(lab: Lab) -> AsyncIterator[str]:
    """A database of pgbench's own."""
    await create_database(lab.postgres.url, "through_bench")
    yield "through_bench"
    await drop_database(lab.postgres.url, "through_bench")


async def test_pgbench_makes_the_same_transactions(ports: tuple[int, int], bank: str) -> None:
    program = postgres_program("pgbench")
    direct, through = [await pgbench(program, port, bank) for port in ports]
    assert through == direct
    for told in direct:
        assert "number of transactions actually processed: 40/40" in told.out
        assert "number of failed transactions: 0" in told.out


async def pgbench(program: Path, port: int, database: str) -> list[Told]:
    """Tables made and filled, then transactions by each way of asking; times left out."""
    to = ("-h", "127.0.0.1", "-p", str(port), "-U", "postgres", database)
    made = await run(program, "-i", "-I", "dtGvp", "--quiet", *to)
    assert made.code == 0, made.err
    told = [
        await run(program, "-n", "-c", "2", "-t", "20", "--random-seed=7", "-M", how, *to)
        for how in ("simple", "extended", "prepared")
    ]
    return [Told(one.code, re.sub(r"(latency|initial|tps).*", "", one.out), one.err) for one in told]


# -- drivers --------------------------------------------------------------------------------------------------------


async def test_asyncpg_sees_the_same(ports: tuple[int, int]) -> None:
    direct, through = [await by_asyncpg(port) for port in ports]
    assert through == direct
    assert direct[-1] == "57014" and b"x" * BIG in direct


async def by_asyncpg(port: int) -> list[Any]:
    client = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres")
    heard: asyncio.Queue[str] = asyncio.Queue()
    notices: list[str] = []
    client.add_log_listener(lambda _, message: notices.append(str(message)))
    said: list[Any] = []
    try:
        await client.execute("CREATE TEMP TABLE t (n int PRIMARY KEY, name text, made timestamptz, raw bytea, l int[])")
        for n in range(3):
            said.append(await client.execute("INSERT INTO t VALUES ($1, $2, '2026-01-01', $3, $4)", n, "ü", b"\0", [n]))
        await client.executemany("INSERT INTO t VALUES ($1)", [(n,) for n in range(3, 500)])
        said += [tuple(row) for row in await client.fetch("SELECT * FROM t ORDER BY n LIMIT 5")]
        async with client.transaction():
            said += [row["n"] async for row in client.cursor("SELECT n FROM t ORDER BY n", prefetch=7)]
        for sql in ("SELECT 1/0", "SELEC", "INSERT INTO t VALUES (1)"):
            try:
                async with client.transaction():
                    await client.execute(sql)
            except asyncpg.PostgresError as error:
                said.append((error.sqlstate, str(error)))
        said.append(
            await client.copy_records_to_table(
                "t", records=[(n, "c") for n in range(1000, 9000)], columns=["n", "name"]
            )
        )
        parts: list[bytes] = []

        async def take(part: bytes) -> None:
            parts.append(part)

        said.append(await client.copy_from_query("SELECT n, name FROM t ORDER BY n", output=take, format="csv"))
        said += [b"".join(parts), await client.fetchval("SELECT $1::bytea", b"x" * BIG)]
        await client.add_listener("through_asyncpg", lambda *told: heard.put_nowait(told[3]))
        await client.execute("DO $$ BEGIN RAISE NOTICE 'a notice'; END $$; NOTIFY through_asyncpg, 'news'")
        said += [await within(heard.get()), list(notices)]
        try:
            await client.execute("SELECT pg_sleep(3600)", timeout=0.05)  # asyncpg cancels it on a second connection
        except TimeoutError:
            said.append("timeout")
        said.append(await within(client.fetchval("SELECT 1")))
        await client.execute("SET statement_timeout = 1")
        try:
            await client.execute("SELECT pg_sleep(3600)")
        except asyncpg.PostgresError as error:
            said.append(error.sqlstate)
    finally:
        await client.close()
    return said


async def test_psycopg_sees_the_same(ports: tuple[int, int]) -> None:
    direct, through = [await by_psycopg(port) for port in ports]
    assert through == direct
    assert ("57014", "canceling statement due to user request") in direct and "x" * BIG in direct


async def by_psycopg(port: int) -> list[Any]:
    said: list[Any] = []
    async with await psycopg.AsyncConnection.connect(given(port), autocommit=True) as client:
        client.add_notice_handler(lambda notice: said.append(notice.message_primary))
        await client.execute("CREATE TEMP TABLE p (n int PRIMARY KEY, name text)")
        async with client.pipeline(), client.cursor() as cursor:
            for n in range(200):
                await cursor.execute("INSERT INTO p VALUES (%s, %s) RETURNING n", (n, "ü" * n))
            said.append(cursor.rowcount)
        async with client.cursor() as cursor:
            await cursor.executemany("INSERT INTO p VALUES (%s, 'm')", [(n,) for n in range(200, 400)])
            async with cursor.copy("COPY p FROM STDIN") as into:
                for n in range(1000, 4000):
                    await into.write_row((n, "copied"))
            async with cursor.copy("COPY (SELECT * FROM p ORDER BY n) TO STDOUT (FORMAT binary)") as out:
                said.append(b"".join([bytes(part) async for part in out]))
        async with client.transaction(), client.cursor("named") as cursor:
            await cursor.execute("SELECT * FROM p ORDER BY n")
            said += await cursor.fetchmany(10) + await cursor.fetchall()
        try:
            async with client.pipeline():
                await client.execute("SELECT 1")
                await client.execute("SELECT 1/0")
                await client.execute("SELECT 2")
        except psycopg.Error as error:
            said.append((error.sqlstate, error.diag.message_primary))
        async with client.cursor(binary=True) as cursor:
            await cursor.execute("SELECT repeat('x', %s), 1.5::numeric, now() - now(), ARRAY[1,2]", (BIG,))
            said += (await cursor.fetchone()) or ()
        async with client.cursor() as cursor:
            said += [row async for row in cursor.stream("SELECT generate_series(1, 100)")]
        await client.execute("DO $$ BEGIN RAISE NOTICE 'a notice'; END $$")
        await client.execute("LISTEN through_psycopg")
        await client.execute("NOTIFY through_psycopg, 'news'")
        async for notify in client.notifies(timeout=10, stop_after=1):
            said.append((notify.channel, notify.payload))
        said.append(await _cancelled(client))
        said.append(client.info.transaction_status)
    return said


async def _cancelled(client: psycopg.AsyncConnection[Any]) -> tuple[str | None, str | None]:
    """A cancel that comes too early finds nothing to cancel: it is sent until it strikes."""
    waiting = asyncio.ensure_future(client.execute("SELECT pg_sleep(3600)"))

    async def strike() -> None:
        while not waiting.done():
            await client.cancel_safe()

    await within(strike())
    error = waiting.exception()
    assert isinstance(error, psycopg.Error)
    return error.sqlstate, error.diag.message_primary
