"""What the figures stand on: a lab whose model server waits for nothing, accounts with tokens, and servers in it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from netra_sim.backend.config import Settings
from netra_sim.backend.identity.tokens import Key, Tokens
from netra_sim.kernel.rng import Rng
from netra_sim.lab.lab import WORKER, Lab, default_children
from netra_sim.lab.server import PORT, Child, Server
from netra_sim.users import tenants, workload
from netra_sim.users.persona import Profile, account

BOUND = (sys.executable, "-m", "tests.bench.bound")
FULL = Profile(data=(1.0, 0.0, 0.0))
ROWS = 2000  # calls in each tenant's log, as the scenarios have


@dataclass(frozen=True, slots=True)
class User:
    """An account with an open session."""

    id: str
    token: str


@dataclass(frozen=True)
class Side:
    """One server with a database and a prefix of its own."""

    name: str
    server: Server
    database: str
    prefix: str
    users: Sequence[User]

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.server.pid is not None
        return self.server.pid


@contextlib.asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    """A lab in real time (no timeout is shortened) whose model server answers without latency."""
    children = [
        Child(c.name, (*c.command, "--time-scale", "0") if c.name == "llm" else c.command, path=c.path)
        for c in default_children(7, 1.0)
    ]
    async with Lab(seed=7, time_scale=1.0, children=children) as lab:
        yield lab


@contextlib.asynccontextmanager
async def side(
    lab: Lab, name: str, users: int, command: Sequence[str] = WORKER, **settings: object
) -> AsyncIterator[Side]:
    """A server of one process on a namespace of its own with `users` accounts of the highest tier."""
    prefix = f"bench-{name}:"
    url, logs = await asyncio.gather(lab.create_database(f"bench_{name}"), lab.create_logs(f"bench_{name}"))
    given: dict[str, Any] = {
        "postgres_url": url, "redis_url": lab.redis.url, "clickhouse_url": logs, "llm_url": lab.llm_url,
        "redis_prefix": prefix, "worker": name, "agents_at_once": 5000, **settings,
    }  # fmt: skip
    known = await _accounts(url, logs, users, given)
    env = {f"NETRA_{key.upper()}": str(value) for key, value in given.items()}
    server = Server(Child(name, tuple(command), {**env, "NETRA_PORT": PORT}), lab.dir / f"bench-{name}")
    await server.start()
    try:
        yield Side(name, server, url, prefix, known)
    except Exception as error:
        error.add_note(f"{name} said: {server.log()}")
        raise
    finally:
        await server.stop()
        await lab.drop_namespace(f"bench_{name}", prefix)


async def _accounts(url: str, logs: str, users: int, given: Mapping[str, Any]) -> list[User]:
    """Accounts, their logs and their sessions, seeded in bulk; the tokens are signed as the worker signs them."""
    rng = Rng(7).child("users")
    people = [account(rng, number, FULL) for number in range(1, users + 1)]
    await workload.prepare(logs)
    await tenants.seed(url, logs, rng, people, ROWS)
    key, ids = Key.generate(), {who.number: workload.user_id(rng, who) for who in people}
    tokens = Tokens([key], Settings.model_validate(dict(given)))
    sessions = {number: str(uuid.uuid4()) for number in ids}
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("UPDATE users SET tier = 'enterprise'")
        await connection.execute("INSERT INTO signing_keys (kid, private_pem) VALUES ($1, $2)", key.kid, key.pem())
        rows = [(sessions[number], id_) for number, id_ in ids.items()]
        await connection.copy_records_to_table("sessions", records=rows, columns=["id", "user_id"])
    finally:
        await connection.close()
    return [
        User(id_, tokens.sign(id_, people[number - 1].email, "enterprise", sessions[number])[0])
        for number, id_ in ids.items()
    ]
