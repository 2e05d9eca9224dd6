"""A Redis (or Valkey) of the lab's own: start, ready, kill -9 and back with its data, on its port."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from netra_sim.lab import ports
from netra_sim.lab.service import Owned
from netra_sim.lab.spawn import Command, Process

SETTINGS = {
    "bind": ports.LOOPBACK,
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "repl-diskless-sync-delay": "0",
    "enable-debug-command": "local",
}


class Redis(Owned):
    """Data in `<directory>`; `settings` override or add to the server's defaults here."""

    port_setting = "NETRA_REDIS_PORT"

    def __init__(
        self, directory: Path, program: Path, port: int | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        super().__init__("redis", directory, port)
        self._program = program
        self.settings = {**SETTINGS, **(settings or {})}

    @property
    def url(self) -> str:
        """Where it answers, with no proxy between."""
        return f"redis://{ports.LOOPBACK}:{self.port}/0"

    def _spawn(self, port: int) -> Process:
        given = {"port": str(port), "dir": str(self.directory), **self.settings}
        words = (w for k, v in given.items() for w in (f"--{k}", v))
        return Process(
            Command("redis", (str(self._program), *words), self.directory, self.logfile, {**os.environ, "LC_ALL": "C"})
        )

    async def _ready(self, process: Process, port: int) -> int:
        import redis.exceptions

        url = f"redis://{ports.LOOPBACK}:{port}/0"
        await self._asked(process, lambda: ask(url), process.pid, (OSError, redis.exceptions.RedisError))
        return port


async def ask(url: str) -> tuple[str, int]:
    """`Valkey 9.1.2` or `Redis 7.0.15`, and its pid, from the server behind `url` once it has loaded its data."""
    import redis.asyncio

    async with redis.asyncio.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
        await client.ping()
        told = await client.info("server")
        valkey = told.get("server_name") == "valkey"
        version = f"Valkey {told['valkey_version']}" if valkey else f"Redis {told['redis_version']}"
        return version, int(told["process_id"])


async def ask_version(url: str) -> str:
    """`Valkey 9.1.2` or `Redis 7.0.15`: what the server behind `url` tells."""
    return (await ask(url))[0]
