"""Accounts and their logs, seeded in bulk past the platform: hashing a password for each would take minutes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from netra_sim.kernel.rng import Rng
from netra_sim.users import workload
from netra_sim.users.persona import Account

TIERS = ("early", "mid", "enterprise")


async def seed(url: str, logs_url: str, rng: Rng, accounts: Sequence[Account], rows: int) -> list[workload.Log]:
    """Write accounts and, where there is a store for them, logs of `rows` calls each; the logs.

    Whoever signs up by himself is left out by the caller.
    """
    logs = [workload.log(rng, account, workload.user_id(rng, account), rows) for account in accounts]
    async with asyncio.TaskGroup() as group:
        group.create_task(_seed_users(url, rng, accounts))
        if logs_url:
            group.create_task(workload.load(logs_url, logs))
    return logs


async def _seed_users(url: str, rng: Rng, accounts: Sequence[Account]) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        columns = ["id", "email", "password_hash", "tier"]
        await connection.copy_records_to_table("users", records=_users(rng, accounts), columns=columns)
    finally:
        await connection.close()


def _users(rng: Rng, accounts: Iterable[Account]) -> list[tuple[str, str, str, str]]:
    from argon2 import PasswordHasher

    hashes: dict[str, str] = {}
    hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
    rows = []
    for account in accounts:
        if account.password not in hashes:
            hashes[account.password] = hasher.hash(account.password)
        tier = TIERS[account.number % len(TIERS)]
        rows.append((workload.user_id(rng, account), account.email, hashes[account.password], tier))
    return rows
