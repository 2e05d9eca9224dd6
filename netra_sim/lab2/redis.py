"""Redis: embedded (Valkey), from PATH, or someone's by URL; a prefix of keys a run."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

from netra_sim.kernel.errors import NotOurs, StartFailed, Unreachable
from netra_sim.lab2 import binaries
from netra_sim.lab2.settings import Choice, free_port, without_password
from netra_sim.lab2.spawn import Process, Spec

OPTIONS = ("--save", "", "--appendonly", "yes", "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
START, STOP, TRIES = 15.0, 2.0, 5


class Redis:
    """One server; `owned` says whether its process is ours to kill."""

    name = "redis"

    def __init__(self, choice: Choice, folder: Path) -> None:
        self._choice, self._folder = choice, folder
        self._program = None if choice.kind == "url" else binaries.redis(choice.kind)
        self._process: Process | None = None
        self._port = choice.port
        self.version = ""

    @property
    def owned(self) -> bool:
        """Whether the lab started it."""
        return self._program is not None

    @property
    def url(self) -> str:
        """Its address."""
        return self._choice.url if self._program is None else f"redis://127.0.0.1:{self._port}"

    @property
    def stopped(self) -> bool:
        """Whether it is owned and not running."""
        return self.owned and (self._process is None or not self._process.alive)

    async def start(self) -> None:
        """Start it, or reach the given one; StartFailed or Unreachable."""
        if self._program is None:
            await self._reach()
            return
        for _ in range(TRIES):
            self._port = self._choice.port or free_port()
            if await self._launch():
                return
            if self._choice.port:
                break
        raise StartFailed(service="Redis", cause="it ended while starting", log=self._log())

    async def restart(self) -> None:
        """Start it again on the same port and data, after a kill."""
        self._check_owned("restart")
        if not await self._launch():
            raise StartFailed(service="Redis", cause="it did not come back", log=self._log())

    async def stop(self) -> None:
        """An orderly end; nothing to do for a server that is not ours."""
        if self._process is not None and self._process.alive:
            await self._process.resume()
            await self._process.stop(STOP, signal.SIGTERM)

    async def kill(self) -> None:
        """SIGKILL."""
        await self._own("kill").kill()

    async def pause(self) -> None:
        """Freeze it."""
        await self._own("pause").pause()

    async def resume(self) -> None:
        """Let it go on."""
        await self._own("resume").resume()

    async def drop(self, prefix: str) -> None:
        """Remove every key that begins with the prefix."""
        client = self._client()
        try:
            keys = [key async for key in client.scan_iter(match=f"{prefix}*", count=1000)]
            for at in range(0, len(keys), 1000):
                await client.unlink(*keys[at : at + 1000])
        finally:
            await client.aclose()

    def _client(self) -> Any:
        import redis.asyncio

        return redis.asyncio.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=2)

    async def _launch(self) -> bool:
        command = [str(self._program), "--port", str(self._port), "--dir", str(self._folder), *OPTIONS]
        self._process = process = Process(Spec("Redis", command, self._folder))
        end = time.monotonic() + START
        while process.alive and time.monotonic() < end:
            if await self._answers():
                return True
            await asyncio.sleep(0.01)
        return False

    async def _answers(self) -> bool:
        from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError

        client = self._client()
        try:
            self.version = _name(await client.info("server"))
            return True
        except (ConnectionError, TimeoutError, BusyLoadingError):
            return False
        finally:
            await client.aclose()

    async def _reach(self) -> None:
        from redis.exceptions import RedisError

        client = self._client()
        try:
            self.version = _name(await client.info("server"))
        except (RedisError, OSError) as error:
            shown, setting = without_password(self.url), self._choice.setting
            raise Unreachable(service="Redis", setting=setting, url=shown, cause=str(error)) from error
        finally:
            await client.aclose()

    def _own(self, action: str) -> Process:
        self._check_owned(action)
        assert self._process is not None
        return self._process

    def _check_owned(self, action: str) -> None:
        if not self.owned:
            raise NotOurs(action=action, service="Redis", setting=self._choice.setting)

    def _log(self) -> str:
        return self._process.failed("").facts["log"] if self._process else ""  # type: ignore[no-any-return]


def _name(info: dict[str, Any]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}"
