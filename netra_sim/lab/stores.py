"""Namespaces: a database made from a template, one for the logs, a prefix of keys; made for a run, dropped after it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from netra_sim.kernel.errors import BadValue, LabError
from netra_sim.lab.spawn import Command, Process, environment

if TYPE_CHECKING:
    import asyncpg

LONGEST = 63  # bytes; Postgres cuts longer names silently, and two names could become one
BATCH = 500  # keys a SCAN looks at


def database_url(url: str, name: str) -> str:
    """The same server's URL with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(name, safe='')}"))


async def create_database(url: str, name: str, template: str = "template1") -> str:
    """Create a database as a copy of `template`, which nobody may be connected to; its URL."""
    await _execute(url, f"CREATE DATABASE {_quoted(name)} TEMPLATE {_quoted(template)}")
    return database_url(url, name)


async def drop_database(url: str, name: str) -> None:
    """Drop a database, ending the connections to it; one that has gone is fine."""
    await _execute(url, f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")


async def make_template(url: str, name: str, command: tuple[str, ...], folder: Path) -> None:
    """Create a database anew and run `command` on it, its URL as last argument; StartFailed with its last log lines."""
    await drop_database(url, name)  # an earlier attempt may have failed half-way
    await create_database(url, name, "template0")
    process = Process(
        Command("migrate", (*command, database_url(url, name)), folder, folder / "migrate.log", environment({}))
    )
    try:
        if await process.wait() != 0:
            raise process.failure("the migrations failed")
    except BaseException:
        await process.kill()
        raise


async def delete_keys(url: str, prefix: str) -> int:
    """Delete all keys that begin with `prefix`, by SCAN; how many."""
    import redis.asyncio

    deleted = 0
    async with redis.asyncio.Redis.from_url(url) as client:
        batch: list[bytes] = []
        async for key in client.scan_iter(match=f"{_literal(prefix)}*", count=BATCH):
            batch.append(key)
            if len(batch) >= BATCH:
                deleted += await client.unlink(*batch)
                batch.clear()
        return deleted + (await client.unlink(*batch) if batch else 0)


async def create_logs(url: str, name: str) -> str:
    """Create a database in ClickHouse; its URL."""
    await _command(url, f"CREATE DATABASE {_ticked(name)}")
    return database_url(url, name)


async def drop_logs(url: str, name: str) -> None:
    """Drop a database of ClickHouse; one that has gone is fine."""
    await _command(url, f"DROP DATABASE IF EXISTS {_ticked(name)} SYNC")


async def ask_logs(url: str) -> str:
    """`ClickHouse 26.9.2`: what the server behind `url` tells."""
    return f"ClickHouse {await _command(url, 'SELECT version()')}"


async def _command(url: str, statement: str) -> str:
    import httpx

    parts = urlsplit(url)
    async with httpx.AsyncClient(trust_env=False, timeout=30, auth=_account(parts)) as client:
        place = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], path="/"))
        answer = await client.post(place, content=statement)
    if answer.is_error:
        raise LabError(detail=f"ClickHouse refused {statement!r}: {answer.text.strip()[:200]}")
    return answer.text.strip()


def _account(parts: SplitResult) -> tuple[str, str] | None:
    return (unquote(parts.username), unquote(parts.password or "")) if parts.username else None


def _ticked(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


async def _execute(url: str, statement: str) -> None:
    import asyncpg

    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await asyncio.shield(connection.close())


def _quoted(name: str) -> str:
    if not 0 < len(name.encode()) <= LONGEST or "\0" in name:
        raise BadValue(field="database name", value=name, allowed=f"1 to {LONGEST} bytes")
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    """The text as a Redis pattern that matches it alone."""
    return re.sub(r"([\\*?\[\]^-])", r"\\\1", text)
