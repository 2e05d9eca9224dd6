"""Accounts seeded in bulk past the platform: hashing a password for each would take minutes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netra_sim.kernel.rng import Rng
from netra_sim.users.persona import Account
from netra_sim.users.workload import user_id

TIERS = ("early", "mid", "enterprise")


async def seed(url: str, rng: Rng, accounts: Sequence[Account]) -> None:
    """Write users by COPY; whoever signs up by himself is left out by the caller."""
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
        rows.append((user_id(rng, account), account.email, hashes[account.password], tier))
    return rows
