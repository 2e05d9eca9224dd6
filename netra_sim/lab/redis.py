"""A Redis (or Valkey) of the lab's own: start, ready, kill -9 and back with its data, on its port."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netra_sim.lab import ports
from netra_sim.lab.service import Owned
from netra_sim.lab.spawn import Command, Process

if TYPE_CHECKING:
    import redis.asyncio

NOBODY = 1  # a port that nothing listens on

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

    async def read_only(self) -> None:
        """Make it the replica of a server that is not there: it reads what it has and answers writes with READONLY."""
        async with self._client() as client:
            await client.replicaof(ports.LOOPBACK, NOBODY)

    async def out_of_memory(self) -> None:
        """Take all memory from it, evicting nothing: it reads, and answers writes with OOM."""
        async with self._client() as client:
            await client.config_set("maxmemory-policy", "noeviction")
            await client.config_set("maxmemory", "1")

    async def restore(self) -> None:
        """End both states; what it held is still there."""
        async with self._client() as client:
            await client.replicaof("NO", "ONE")
            await client.config_set("maxmemory", self.settings.get("maxmemory", "0"))
            await client.config_set("maxmemory-policy", self.settings.get("maxmemory-policy", "noeviction"))

    async def altered(self) -> list[dict[str, Any]]:
        """Whether it was left limited, read-only or without memory; one that does not run is none of these."""
        limited = await super().altered()
        if not self.alive or self.paused:
            return limited
        async with self._client() as client:
            role = (await client.info("replication"))["role"]
            memory = (await client.config_get("maxmemory"))["maxmemory"]
        left = {"read-only server": role != "master", "server without memory": memory == "1"}
        return [*limited, *({"what": what, "name": self.name} for what, is_so in left.items() if is_so)]

    def _client(self) -> redis.asyncio.Redis:
        import redis.asyncio

        return redis.asyncio.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5)

    async def _spawn(self, port: int) -> Process:
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
