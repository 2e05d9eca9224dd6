"""Accounts and their workload, seeded in bulk past the platform: hashing a password for each would take minutes."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from netra_sim.kernel.rng import Rng
from netra_sim.users.persona import Account

# Days of data by how complete it is: all of the last 30, enough for a partial answer, next to none.
DAYS = {"full": 30, "partial": 15, "none": 3}
MODELS = {"netra-large": 20.0, "netra-medium": 6.0, "netra-small": 1.5}  # USD for a million tokens
TIERS = ("early", "mid", "enterprise")


def user_id(rng: Rng, account: Account) -> str:
    """The id that the account's row will have."""
    return str(uuid.UUID(int=rng.child("user", account.number).stream("id").getrandbits(128), version=4))


def workload(rng: Rng, account: Account) -> list[tuple[Any, ...]]:
    """The account's rows: day, model, project (with the canary), requests, tokens, cost, latency."""
    stream = rng.child("user", account.number).stream("workload")
    owner, project = user_id(rng, account), f"workspace {account.canary}"
    today = datetime.date(2026, 1, 31)
    rows = []
    for day in range(DAYS[account.data]):
        for model, price in MODELS.items():
            requests = round(stream.lognormvariate(6, 0.8))
            tokens = requests * stream.randint(300, 1500)
            cost = round(tokens * price / 1e6, 6)
            date = today - datetime.timedelta(days=day)
            rows.append((owner, date, model, project, requests, tokens, cost, stream.lognormvariate(6.5, 0.5)))
    return rows


async def seed(url: str, rng: Rng, accounts: Sequence[Account]) -> None:
    """Write users and workload by COPY; whoever signs up by himself is left out by the caller."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        users = _users(rng, accounts)
        columns = ["id", "email", "password_hash", "tier"]
        await connection.copy_records_to_table("users", records=users, columns=columns)
        rows = [row for account in accounts for row in workload(rng, account)]
        await connection.copy_records_to_table("workload", records=rows)
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
