"""Postgres: embedded, from PATH, or someone's by URL; databases made from a template."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from netra_sim.kernel.errors import NotOurs, StartFailed, Unreachable
from netra_sim.lab2 import binaries
from netra_sim.lab2.settings import Choice, free_port, without_password
from netra_sim.lab2.spawn import Process, Spec

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # in the data directory, so that it goes with it
    "max_connections": "300",
    "max_prepared_transactions": "64",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "timezone": "UTC",
}
START, STOP, TRIES = 30.0, 3.0, 5


class Postgres:
    """One server; `owned` says whether its process is ours to kill."""

    name = "postgres"

    def __init__(self, choice: Choice, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._choice, self._folder = choice, folder
        self._settings = {**SETTINGS, **(settings or {})}
        self._bin = None if choice.kind == "url" else binaries.postgres(choice.kind)
        self._process: Process | None = None
        self._port = choice.port
        self.version = ""

    @property
    def owned(self) -> bool:
        """Whether the lab started it."""
        return self._bin is not None

    @property
    def url(self) -> str:
        """Its address, with the maintenance database."""
        return self._choice.url if self._bin is None else f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    @property
    def stopped(self) -> bool:
        """Whether it is owned and not running."""
        return self.owned and (self._process is None or not self._process.alive)

    def database_url(self, name: str) -> str:
        """The address of one database on it."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    async def start(self) -> None:
        """Initialise and start it, or reach the given one; StartFailed or Unreachable."""
        if self._bin is None:
            await self._reach()
            return
        await asyncio.get_running_loop().run_in_executor(None, self._initialise)
        for _ in range(TRIES):
            self._port = self._choice.port or free_port()
            if await self._launch():
                return
            if self._choice.port:
                break
        raise StartFailed(service="Postgres", cause="it ended while starting", log=self._log())

    async def restart(self) -> None:
        """Start it again on the same port and data, after a kill."""
        self._check_owned("restart")
        if not await self._launch():
            raise StartFailed(service="Postgres", cause="it did not come back", log=self._log())

    async def stop(self) -> None:
        """A fast shutdown; nothing to do for a server that is not ours."""
        if self._process is not None and self._process.alive:
            await self._process.resume()
            await self._process.stop(STOP, signal.SIGINT)

    async def kill(self) -> None:
        """SIGKILL to the postmaster and every backend."""
        await self._own("kill").kill()

    async def pause(self) -> None:
        """Freeze it with all its backends."""
        await self._own("pause").pause()

    async def resume(self) -> None:
        """Let it go on."""
        await self._own("resume").resume()

    async def create(self, name: str, template: str = "template1") -> str:
        """A new database; its address."""
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.database_url(name)

    async def drop(self, name: str) -> None:
        """Remove a database and cut off whoever is connected to it."""
        await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _execute(self, sql: str) -> None:
        import asyncpg

        connection = await asyncpg.connect(self.url, timeout=START)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def _launch(self) -> bool:
        account, bin_ = binaries.account(), self._bin
        assert bin_ is not None
        options = [word for key, value in self._settings.items() for word in ("-c", f"{key}={value}")]
        command = [str(bin_ / "postgres"), "-D", str(self._folder / "data"), "-p", str(self._port), *options]
        spec = Spec(
            "Postgres", command, self._folder, death_signal=signal.SIGINT,
            user=account and account.pw_uid, group=account and account.pw_gid,
        )  # fmt: skip
        self._process = process = Process(spec)
        end = time.monotonic() + START
        while process.alive and time.monotonic() < end:
            if await self._answers():
                return True
            await asyncio.sleep(0.01)
        return False

    async def _answers(self) -> bool:
        import asyncpg

        try:
            connection = await asyncpg.connect(self.url, timeout=2.0)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
            return False
        try:
            self.version = _short(await connection.fetchval("SELECT version()"))
            return True
        finally:
            await connection.close()

    async def _reach(self) -> None:
        import asyncpg

        try:
            connection = await asyncpg.connect(self.url, timeout=5.0)
            self.version = _short(await connection.fetchval("SELECT version()"))
            await connection.close()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            shown, setting = without_password(self.url), self._choice.setting
            cause = str(error) or type(error).__name__
            raise Unreachable(service="Postgres", setting=setting, url=shown, cause=cause) from error

    def _initialise(self) -> None:
        """initdb into a folder that the server's account owns."""
        account, data = binaries.account(), self._folder / "data"
        self._folder.mkdir(parents=True, exist_ok=True)
        data.mkdir(mode=0o700)
        if account is not None:
            os.chown(data, account.pw_uid, account.pw_gid)
            self._folder.chmod(0o711)
        words = ["-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        done = subprocess.run(
            [str(self._bin and self._bin / "initdb"), "-D", str(data), *words], cwd=data, capture_output=True, text=True,
            env={"PATH": "/usr/bin:/bin", "TZ": "UTC", "LC_ALL": "C"},
            user=account and account.pw_uid, group=account and account.pw_gid, extra_groups=[] if account else None,
        )  # fmt: skip
        if done.returncode:
            last = "\n".join(done.stderr.splitlines()[-5:])
            raise StartFailed(service="Postgres", cause=f"initdb ended with code {done.returncode}", log=last)

    def _own(self, action: str) -> Process:
        self._check_owned(action)
        assert self._process is not None
        return self._process

    def _check_owned(self, action: str) -> None:
        if not self.owned:
            raise NotOurs(action=action, service="Postgres", setting=self._choice.setting)

    def _log(self) -> str:
        return self._process.failed("").facts["log"] if self._process else ""  # type: ignore[no-any-return]


def _short(version: str) -> str:
    return " ".join(version.split()[:2])
