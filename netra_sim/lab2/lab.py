"""A lab: stores, the language model, the fault proxy, and workers, all owned by this process."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from netra_sim.kernel.errors import Unreachable
from netra_sim.lab2 import state
from netra_sim.lab2.postgres import Postgres
from netra_sim.lab2.redis import Redis
from netra_sim.lab2.settings import choice, without_password
from netra_sim.lab2.spawn import Process, Spec, tail

READY, STOP = 20.0, 2.0


class Server:
    """A Python server of ours in its own process: its ready line gives its port."""

    def __init__(self, process: Process, told: Mapping[str, Any], path: str = "") -> None:
        self.process, self.port = process, int(told["port"])
        self.url = f"http://127.0.0.1:{self.port}{path}"


class Lab:
    """`await start()` brings all up side by side, `await stop()` leaves nothing behind."""

    def __init__(self, *, seed: int = 7, time_scale: float = 0.1, migrate: Sequence[str] | None = None) -> None:
        self._seed, self.time_scale = seed, time_scale
        self._migrate = migrate or (sys.executable, "-m", "netra_sim.backend", "migrate", "--url")
        self._choices = {service: choice(service) for service in ("postgres", "redis", "llm")}
        self.dir = Path()
        self.id = ""
        self._warden: subprocess.Popen[bytes] | None = None
        self._children: dict[str, Process] = {}
        self._started: list[Postgres | Redis] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Sweep what dead labs left, then start everything; whatever started is stopped when one part fails."""
        state.sweep()
        self.dir = state.create()
        self.id = self.dir.name
        self._warden = _warden(self.dir)
        try:
            self.postgres = Postgres(self._choices["postgres"], self.dir / "postgres")
            self.redis = Redis(self._choices["redis"], self.dir / "redis")
            self._started = [self.postgres, self.redis]
            async with asyncio.TaskGroup() as group:
                group.create_task(self._stores())
                group.create_task(self.redis.start())
                llm = group.create_task(self._model())
                proxy = group.create_task(self._server("proxy", "netra_sim.faults.serve", "--seed", str(self._seed)))
            self.llm_url, self.proxy = llm.result(), proxy.result()
        except BaseException as error:
            await self.stop()
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from None

    async def stop(self) -> None:
        """End everything side by side and remove the lab's directory."""
        await asyncio.gather(*(child.stop(STOP) for child in self._children.values()))
        self._children.clear()
        await asyncio.gather(*(store.stop() for store in self._started))
        if self._warden is not None:
            await asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, self.dir, True)
            assert self._warden.stdin is not None
            self._warden.stdin.close()
            self._warden.wait(timeout=10)
            self._warden = None

    async def worker(self, environment: Mapping[str, str]) -> Server:
        """One more worker of the platform, ready for requests."""
        name = environment.get("NETRA_WORKER", "worker")
        folder = self.dir / name
        spec = Spec(name, (sys.executable, "-m", "netra_sim.backend", "serve"), folder, environment)
        return await self._ready(spec)

    async def stop_worker(self, server: Server) -> None:
        """End a worker in order and forget it."""
        await server.process.stop(STOP)
        self._children.pop(server.process.spec.name, None)

    async def create_database(self, name: str) -> str:
        """A migrated, empty database; its address."""
        return await self.postgres.create(name, self._template)

    async def drop_namespace(self, name: str, prefix: str) -> None:
        """The database and the keys of one run."""
        await asyncio.gather(self.postgres.drop(name), self.redis.drop(prefix))

    def servers(self) -> dict[str, str]:
        """What answers behind each name, with its version."""
        llm = self._choices["llm"]
        model = "netra_sim simulator" if llm.kind == "embedded" else without_password(llm.url)
        return {"postgres": self.postgres.version, "redis": self.redis.version, "llm": model}

    def logs(self, lines: int = 20) -> dict[str, str]:
        """The last lines of every process."""
        return {folder.name: tail(folder, lines) for folder in sorted(self.dir.iterdir()) if folder.is_dir()}

    @property
    def _template(self) -> str:
        return f"netra_template_{self.id}"

    async def _stores(self) -> None:
        """Postgres, and in it the template that every run's database is copied from."""
        await self.postgres.start()
        await self.postgres.drop(self._template)
        url = await self.postgres.create(self._template)
        migration = Process(Spec("migration", (*self._migrate, url), self.dir / "migration"))
        self._children["migration"] = migration
        if code := await migration.wait():
            raise migration.failed(f"the migration ended with code {code}")

    async def _model(self) -> str:
        """The base URL of the language model's API."""
        given = self._choices["llm"]
        if given.kind == "url":
            await _reach(given.url)
            return given.url.rstrip("/")
        scale = ("--seed", str(self._seed), "--time-scale", str(self.time_scale))
        return f"{(await self._server('llm', 'netra_sim.externals.llm', *scale)).url}/v1"

    async def _server(self, name: str, module: str, *options: str) -> Server:
        command = (sys.executable, "-m", module, "--port", "0", *options)
        return await self._ready(Spec(name, command, self.dir / name))

    async def _ready(self, spec: Spec) -> Server:
        process = self._children[spec.name] = Process(spec)
        return Server(process, await process.ready(READY))


async def _reach(url: str) -> None:
    """Any answer over HTTP will do: whether the key is right is told by the first call."""
    import httpx

    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            await client.get(f"{url.rstrip('/')}/models")
    except httpx.HTTPError as error:
        shown = without_password(url)
        raise Unreachable(service="language model", setting="NETRA_LLM", url=shown, cause=str(error)) from error


def _warden(folder: Path) -> subprocess.Popen[bytes]:
    """Outlives this process, and cleans up after it when it could not do so itself."""
    return subprocess.Popen(
        (sys.executable, "-m", "netra_sim.lab2.warden", str(folder)),
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
