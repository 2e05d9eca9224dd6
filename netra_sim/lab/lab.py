"""A lab: its own Postgres, Redis, model server and fault proxy, and the workers that runs ask for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from netra_sim.kernel.errors import BadValue, PortTaken
from netra_sim.kernel.history import HistoryWriter
from netra_sim.lab import ports, postgres, redis, state, stores
from netra_sim.lab.forked import Nursery, possible
from netra_sim.lab.programs import check_clickhouse, postgres_programs, redis_program
from netra_sim.lab.server import PORT, Child, Server
from netra_sim.lab.service import Owned, Remote, Service
from netra_sim.lab.settings import EMBEDDED, OFF, SEED, TIME_SCALE, Settings, from_environment, redact
from netra_sim.lab.spawn import Command, Process, environment

WORKER = (sys.executable, "-m", "netra_sim.backend", "serve")
PRELOAD = ("netra_sim.backend.preload",)  # by name: the lab knows of the backend how to start it, and no more
CLOCK = "NETRA_CLOCK_OFFSET"
MIGRATE = (sys.executable, "-m", "netra_sim.backend", "migrate", "--url")
WORKER_LOGS = 8  # how many stopped workers' logs are still told


def default_children(seed: int, time_scale: float) -> tuple[Child, ...]:
    """ClickHouse, the model server and the fault proxy."""
    python = (sys.executable, "-m")
    given = ("--port", PORT, "--seed", str(seed))
    return (
        Child("clickhouse", (*python, "netra_sim.lab.clickhouse_server", "--port", PORT), path="/"),
        Child("llm", (*python, "netra_sim.externals.llm", *given, "--time-scale", str(time_scale)), path="/v1"),
        Child("proxy", (*python, "netra_sim.faults.serve", *given)),
    )


class Lab:
    """One lab, an async context manager; start it from the main thread.

    `settings` are the `NETRA_*` variables to heed; `postgres` and `redis` override their servers' settings;
    `children`, `worker` and `migrate` say what else it runs; with modules to `preload`, which the usual
    worker has, workers are forked. With `protocols` the proxies on its edges understand what passes, so that faults
    may name messages. BadValue at once for what is wrong.
    """

    def __init__(
        self,
        *,
        seed: int = SEED,
        time_scale: float = TIME_SCALE,
        settings: Mapping[str, str] | None = None,
        postgres: Mapping[str, str] | None = None,
        redis: Mapping[str, str] | None = None,
        children: Sequence[Child] | None = None,
        worker: Sequence[str] = WORKER,
        migrate: Sequence[str] = MIGRATE,
        preload: Sequence[str] | None = None,
        protocols: bool = False,
    ) -> None:
        if not time_scale > 0:
            raise BadValue(field="time_scale", value=time_scale, allowed="a number above 0")
        self.seed, self.time_scale, self.protocols = seed, time_scale, protocols
        self._settings = from_environment(os.environ if settings is None else settings)
        state.check_base(self._settings.data_dir)
        self._place = state.Place(self._settings.data_dir)
        self.id, self.dir = self._place.id, self._place.path
        kinds = default_children(seed, time_scale) if children is None else children
        self.postgres = self._make_postgres(self._settings, postgres)
        self.redis = self._make_redis(self._settings, redis)
        self._servers = {child.name: self._make_server(child) for child in kinds if self._wanted(child)}
        self._worker, self._migrate = tuple(worker), tuple(migrate)
        self._workers: list[Server] = []
        self._made = 0  # workers so far
        self._template_name = f"netra_template_{self.id.replace('-', '_')}"
        self._template: asyncio.Task[str] | None = None
        self._warden: Process | None = None
        self._nursery = self._make_nursery(PRELOAD if preload is None and self._worker == WORKER else preload)

    @property
    def clickhouse(self) -> Service | None:
        """The store of the tenants' logs, or None when the lab runs without."""
        return self._servers.get("clickhouse")

    @property
    def llm(self) -> Service:
        """The model server."""
        return self._servers["llm"]

    @property
    def llm_url(self) -> str:
        """Where the model server answers (`http://…/v1`), with no proxy between."""
        return self.llm.url

    @property
    def proxy(self) -> Service:
        """The fault proxy; its URL is the control API's."""
        return self._servers["proxy"]

    @property
    def services(self) -> tuple[Service, ...]:
        """Stores and servers, without the workers."""
        return (self.postgres, self.redis, *self._servers.values())

    async def start(self, history: HistoryWriter | None = None) -> None:
        """Check everything, sweep what dead labs left, start all side by side; on an error nothing is left.

        In `history`, if there is one, each service's start is an operation of the actor `lab`.
        """
        self._check_ports()
        await _together(s.start() for s in self.services if not s.owned)
        state.sweep(self._settings.data_dir)
        try:
            self._place.create()
            self._warden = self._start_warden()
            if self._nursery is not None:
                self._nursery.begin()  # the first worker waits for it, the lab does not
            await _together(_recorded(s, history) for s in self.services if s.owned)
        except BaseException:
            await asyncio.shield(self.stop())
            raise

    async def stop(self) -> None:
        """End every process in order, then remove the lab's directory; harmless when done twice."""
        try:
            ends = [server.stop(keep=False) for server in (*self._workers, *self.services)]
            await _all(self._drop_template(), *ends)
            if self._nursery is not None:
                await self._nursery.stop()
        finally:
            self._place.remove()
            if self._warden is not None:
                self._warden.release()
                await self._warden.ended_within(2.0)
                await self._warden.kill()

    async def worker(self, env: Mapping[str, str]) -> Server:
        """Start a backend worker with these variables beside this process's own; it is ready, and has a `port`."""
        self._made += 1
        name = env.get("NETRA_WORKER", f"worker-{self._made}")
        child = Child(name, self._worker, {**env, "NETRA_PORT": PORT}, clock=CLOCK)
        server = Server(child, self._place.folder(f"workers/{self._made}"), self._nursery)
        self._workers.append(server)
        await server.start()
        return server

    async def stop_worker(self, worker: Server) -> None:
        """End a worker in order; its log is kept for a while."""
        await worker.stop()
        stopped = [w for w in self._workers if not w.alive]
        for old in stopped[:-WORKER_LOGS]:
            self._workers.remove(old)

    async def create_logs(self, name: str) -> str:
        """Create a database in ClickHouse; its URL, empty when the lab runs without ClickHouse."""
        if self.clickhouse is None:
            return ""
        return await stores.create_logs(self.clickhouse.url, name)

    async def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, from `template` or from one that the migrations have filled; its URL.

        BadValue for a name of more than 63 bytes.
        """
        if template is None:
            if self._template is None or _failed(self._template):
                self._template = asyncio.create_task(self._make_template())
            template = await asyncio.shield(self._template)
        return await stores.create_database(self.postgres.url, name, template)

    async def drop_database(self, name: str) -> None:
        """Drop a database and end the connections to it."""
        await stores.drop_database(self.postgres.url, name)

    async def drop_namespace(self, name: str, prefix: str | None = None) -> None:
        """Drop the databases `name` and the Redis keys that begin with `prefix` (`name:` unless told)."""
        keys = f"{name}:" if prefix is None else prefix
        drops = [self.drop_database(name), stores.delete_keys(self.redis.url, keys)]
        if self.clickhouse is not None:
            drops.append(stores.drop_logs(self.clickhouse.url, name))
        await _all(*drops)

    def servers(self) -> dict[str, str]:
        """Name -> version of every server that runs are judged on."""
        return {s.name: s.version for s in self.services if s.name != "proxy"}

    def logs(self) -> dict[str, str]:
        """Name -> last lines of the log, of every service and the latest workers."""
        return {s.name: s.log() for s in (*self.services, *self._workers)}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _make_postgres(self, settings: Settings, given: Mapping[str, str] | None) -> Service:
        if "://" in settings.postgres:
            return Remote("postgres", "NETRA_POSTGRES", settings.postgres, postgres.ask_version)
        programs = postgres_programs(settings.postgres)
        return postgres.Postgres(self.dir / "postgres", programs, settings.postgres_port, given)

    def _make_redis(self, settings: Settings, given: Mapping[str, str] | None) -> Service:
        if "://" in settings.redis:
            return Remote("redis", "NETRA_REDIS", settings.redis, redis.ask_version)
        return redis.Redis(self.dir / "redis", redis_program(settings.redis), settings.redis_port, given)

    def _make_server(self, child: Child) -> Service:
        if child.name == "llm" and self._settings.llm != EMBEDDED:
            return Remote("llm", "NETRA_LLM", self._settings.llm, _ask_http)
        if child.name == "clickhouse" and self._settings.clickhouse != EMBEDDED:
            return Remote("clickhouse", "NETRA_CLICKHOUSE", self._settings.clickhouse, stores.ask_logs)
        return Server(child, self.dir / child.name)

    def _make_nursery(self, modules: Sequence[str] | None) -> Nursery | None:
        if not modules or not self._settings.nursery or not possible(self._worker):
            return None
        return Nursery(modules, self.dir / "nursery")

    def _wanted(self, child: Child) -> bool:
        if child.name != "clickhouse":
            return True
        if self._settings.clickhouse == EMBEDDED:
            check_clickhouse()
        return self._settings.clickhouse != OFF

    def _check_ports(self) -> None:
        """PortTaken for a fixed port that something else uses."""
        for service in self.services:
            if isinstance(service, Owned) and service.port and ports.taken(service.port):
                raise PortTaken(port=service.port, service=service.name, setting=service.port_setting)

    def _start_warden(self) -> Process:
        argv = (sys.executable, "-m", "netra_sim.lab.warden", str(self.dir), str(os.getpid()))
        outside = Path(self.dir.anchor)  # the warden must not be among those that it kills by their directory
        log = self.dir / "warden.log"
        return Process(Command("warden", argv, outside, log, environment({}), death=None, stdin=subprocess.PIPE))

    async def _make_template(self) -> str:
        name = self._template_name
        await stores.make_template(self.postgres.url, name, self._migrate, self._place.folder("migrate"))
        return name

    async def _drop_template(self) -> None:
        """In a server that is not ours, the template would stay behind."""
        if self._template is None:
            return
        if not self._template.done():
            self._template.cancel()
            await asyncio.wait([self._template])
        if not self.postgres.owned:
            await self.drop_database(self._template_name)


async def _recorded(service: Service, history: HistoryWriter | None) -> None:
    with nullcontext() if history is None else history.op("lab", "start", what=service.name):
        await service.start()


async def _together(actions: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Do all side by side; the first error ends the others and is raised once they have ended."""
    tasks = [asyncio.create_task(action) for action in actions]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    _raise_first(outcomes)


async def _all(*actions: Coroutine[Any, Any, Any]) -> None:
    """Do all side by side to their end; then raise the first error, if there was one."""
    _raise_first(await asyncio.gather(*actions, return_exceptions=True))


def _raise_first(outcomes: Iterable[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def _failed(task: asyncio.Task[str]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _ask_http(url: str) -> str:
    """Raise OSError when nothing listens there."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    _, writer = await asyncio.open_connection(parts.hostname, port)
    writer.close()
    return redact(url)
