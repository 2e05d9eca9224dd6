"""A Postgres of the lab's own: initdb, start, ready, kill -9 and back with its data, on its port."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
from collections.abc import Mapping
from pathlib import Path

from netra_sim.kernel.errors import StartFailed
from netra_sim.lab import ports, state, tree
from netra_sim.lab.programs import PostgresPrograms, for_another_user
from netra_sim.lab.service import Owned
from netra_sim.lab.spawn import Command, Process

ROOTS_USER = "nobody"  # Postgres refuses to run as root
INITDB = ("-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    # In the data directory, so that removing that leaves nothing in /dev/shm.
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "200",
    "max_prepared_transactions": "64",
    "synchronous_commit": "on",
    "fsync": "on",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres(Owned):
    """Data in `<directory>/data`; `settings` override or add to the server's defaults here."""

    grace, patience = 3.0, 60.0  # seconds: a last checkpoint; a recovery from its log
    port_setting = "NETRA_POSTGRES_PORT"

    def __init__(
        self,
        directory: Path,
        programs: PostgresPrograms,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("postgres", directory, port)
        self._programs = programs
        self.settings = {**SETTINGS, **(settings or {})}
        self._title = directory.parent.name  # the lab's id, seen in the title of each process
        self._user = ROOTS_USER if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        """Where it answers, with no proxy between."""
        return f"postgresql://postgres@{ports.LOOPBACK}:{self.port}/postgres"

    @property
    def data(self) -> Path:
        """The data directory, which is also the current directory of its processes."""
        return self.directory / "data"

    async def stop(self, *, keep: bool = True) -> None:
        """End it in order (`keep`: with a checkpoint), else kill it."""
        if self.process is not None:
            await self.process.terminate(self.grace, signal.SIGINT if keep else signal.SIGQUIT)

    async def kill(self) -> None:
        """SIGKILL it and all its processes, also those that an earlier death of the first one left."""
        await super().kill()
        await tree.kill_all(state.belonging(self.data))

    async def _prepare(self) -> None:
        if (self.data / "PG_VERSION").exists():
            # Children of a postmaster that something else killed hold the shared memory: it could not start.
            await tree.kill_all(state.belonging(self.data))
            return
        self._check_user()
        if self._user:
            self._programs = await asyncio.to_thread(for_another_user, self._programs)
            account = pwd.getpwnam(self._user)
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        modern = ("-c", "dynamic_shared_memory_type=mmap") if self._programs.embedded else ()
        setup = self._run("initdb", "-D", str(self.data), *INITDB, *modern)
        try:
            if await setup.wait() != 0:
                raise setup.failure("initdb failed")
        except BaseException:
            await setup.kill()
            raise

    async def _spawn(self, port: int) -> Process:
        given = {"port": str(port), **self.settings, "cluster_name": self._title}
        return self._run("postgres", "-D", str(self.data), *(w for k, v in given.items() for w in ("-c", f"{k}={v}")))

    async def _ready(self, process: Process, port: int) -> int:
        import asyncpg

        url = f"postgresql://postgres@{ports.LOOPBACK}:{port}/postgres"
        errors = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
        await self._asked(process, lambda: ask(url), self._title, errors)
        return port

    def _run(self, program: str, *arguments: str) -> Process:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return Process(
            Command(
                name="postgres",
                argv=(str(self._programs.folder / program), *arguments),
                cwd=self.directory,
                log=self.logfile,
                env={**kept, "LC_ALL": "C"},
                user=self._user,
                stop=signal.SIGINT,
                death=signal.SIGINT,  # a fast shutdown, which removes its shared memory
            )
        )

    def _check_user(self) -> None:
        """Postgres asks the system for the name of the user it runs as."""
        try:
            _ = pwd.getpwnam(self._user) if self._user else pwd.getpwuid(os.geteuid())
        except KeyError as error:
            cause = f"the system knows no user {self._user or os.geteuid()} for it to run as"
            raise StartFailed(service="postgres", cause=cause, log="(nothing was started)") from error


async def ask(url: str) -> tuple[str, str]:
    """`PostgreSQL 18.6` and the cluster's name, as the server behind `url` tells them."""
    import asyncpg

    connection = await asyncpg.connect(url, timeout=5)
    try:
        told = await connection.fetchval("SELECT array[version(), current_setting('cluster_name')]")
        return " ".join(told[0].split()[:2]), told[1]
    finally:
        await connection.close()


async def ask_version(url: str) -> str:
    """`PostgreSQL 18.6`: the version that the server behind `url` tells."""
    return (await ask(url))[0]
