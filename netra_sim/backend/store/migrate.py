"""Versioned migrations: files `NNNN_name.sql`, each applied once, in order, in a transaction of its own."""

from __future__ import annotations

from importlib import resources

import asyncpg

LOCK = 4_610_042  # any number, the same for every process that migrates


def files() -> list[tuple[int, str, str]]:
    """Version, name and text of every migration, in order."""
    folder = resources.files("netra_sim.backend.store") / "migrations"
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    return [(int(name[:4]), name, (folder / name).read_text()) for name in names]


async def migrate(url: str) -> list[str]:
    """Apply what is missing; the names of the applied files."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_versions "
            "(version integer PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row["version"] for row in await connection.fetch("SELECT version FROM schema_versions")}
        applied = []
        for version, name, text in files():
            if version not in done:
                async with connection.transaction():
                    await connection.execute(text)
                    await connection.execute("INSERT INTO schema_versions VALUES ($1, $2)", version, name)
                applied.append(name)
        return applied
    finally:
        await connection.close()
