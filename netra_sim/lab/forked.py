"""The lab host's side of the nursery: workers forked from a process that has loaded their modules already."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from netra_sim.lab import tree
from netra_sim.lab.nursery import NUMBER
from netra_sim.lab.spawn import Command, Process, environment, variables

PATIENCE = 20.0  # seconds to have loaded all modules
TELLS = 2.0  # seconds in which a nursery that is not frozen tells the code of a child that has ended
PYTHON = (sys.executable, "-m")


def possible(argv: Sequence[str]) -> bool:
    """Whether this system can fork such a command safely: it must end with its parent, and its end must be told."""
    if sys.platform != "linux" or tuple(argv[:2]) != PYTHON:
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # a kernel without such descriptors
        return False
    return True


class Nursery:
    """The process that forks; one that has died is replaced at the next fork."""

    def __init__(self, modules: Sequence[str], directory: Path) -> None:
        self._modules, self._directory = tuple(modules), directory
        self._channel: socket.socket | None = None
        self.process: Process | None = None

    def begin(self) -> Process:
        """Start it unless it runs; it loads its modules meanwhile."""
        if self.process is not None and self.process.alive:
            return self.process
        self._release()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        argv, log = (*PYTHON, "netra_sim.lab.nursery", *self._modules), self._directory / "nursery.log"
        self._channel, its = socket.socketpair()
        with its:
            self.process = Process(
                Command("nursery", argv, self._directory, log, environment({}), announces=True, stdin=its.fileno())
            )
        return self.process

    async def fork(self, command: Command) -> Process:
        """Run a `python -m` command in a fork; StartFailed with the nursery's last log lines when it has none."""
        nursery = self.begin()
        await nursery.ready(PATIENCE)
        handle, its = socket.socketpair()
        handle.setblocking(False)
        read, write = os.pipe()
        output = os.fdopen(read, "rb", buffering=0)
        try:
            return Process(command, Forked(await self._ask(command, handle, its, write), handle, output))
        except BaseException as error:
            handle.close()  # a child that has been forked by now is killed
            output.close()
            if isinstance(error, OSError):
                raise nursery.failure(f"it did not fork {command.name}: {error}") from error
            raise

    async def stop(self) -> None:
        """End it, and with it all that it forked."""
        if self.process is not None:
            self._release()
            await self.process.ended_within(TELLS)
            await self.process.kill()

    async def _ask(self, command: Command, handle: socket.socket, its: socket.socket, write: int) -> int:
        """The pid of a new child."""
        assert self._channel is not None
        with its, os.fdopen(write, "wb") as stdout, command.log.open("ab") as log:
            socket.send_fds(self._channel, [b"f"], [its.fileno(), stdout.fileno(), log.fileno()])
        module, *arguments = command.argv[len(PYTHON) :]
        request = {"module": module, "arguments": arguments, "cwd": str(command.cwd), "env": variables(command)}
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(handle, json.dumps(request).encode())
        handle.shutdown(socket.SHUT_WR)
        if not (told := await loop.sock_recv(handle, NUMBER.size)):
            raise ConnectionResetError("it ended")
        return int(NUMBER.unpack(told)[0])

    def _release(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


class Forked:
    """The nursery's child: what `Process` asks of a child of our own."""

    stdin = None

    def __init__(self, pid: int, handle: socket.socket, stdout: IO[bytes]) -> None:
        self.pid, self.stdout = pid, stdout
        self._handle = handle
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code as the nursery told it; None before."""
        return self._code

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        assert self._code is not None
        return self._code

    def watch(self) -> asyncio.Future[None]:
        """Done when it has ended and its exit code is known."""
        return asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        with self._handle:
            await tree.watch(self.pid)
            told = b""  # stays so when the nursery died, whose children SIGKILL ends, or is frozen
            try:
                async with asyncio.timeout(TELLS):
                    told = await asyncio.get_running_loop().sock_recv(self._handle, NUMBER.size)
            except (TimeoutError, ConnectionResetError):
                pass
            self._code = int(NUMBER.unpack(told)[0]) if told else -signal.SIGKILL
