"""Child processes that die with their owner: spawn, ready line, stop, kill -9 of the whole tree, pause, resume."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from netra_sim.kernel.errors import StartFailed

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Spec:
    """What to start: its name, command, folder (also its working directory), environment, and the account to run as."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: int | None = None
    group: int | None = None
    death_signal: int = signal.SIGKILL


class Process:
    """One running child; its output goes to files in its folder."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._child = _popen(spec)
        self._gone = asyncio.Event()
        self._watch()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._child.poll() is None

    async def ready(self, seconds: float) -> dict[str, Any]:
        """The ready line of a server of ours; StartFailed when it ends or stays silent."""
        path = self.spec.folder / "stdout.log"
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            line, newline, _ = path.read_text().partition("\n")
            if newline:
                told: dict[str, Any] = json.loads(line)
                return told
            if not self.alive:
                raise self.failed(f"it ended with code {self._child.returncode}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), 0.01)
        raise self.failed(f"it was not ready within {seconds:g} s")

    def failed(self, cause: str) -> StartFailed:
        """The error that tells why it did not start, with its last words."""
        return StartFailed(service=self.spec.name, cause=cause, log=tail(self.spec.folder, 5))

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        await self._gone.wait()
        return self._child.wait()

    async def stop(self, seconds: float, number: int = signal.SIGTERM) -> None:
        """Ask it to end; kill the tree when it does not within `seconds`."""
        if self.alive:
            self._signal([self._child.pid], number)
            try:
                await asyncio.wait_for(self._gone.wait(), seconds)
            except TimeoutError:
                await self.kill()
        self._child.wait()

    async def kill(self) -> None:
        """SIGKILL to it and all below it, listed before: an orphan would no longer be found by its parent."""
        tree = self.tree()
        self._signal(tree, signal.SIGKILL)
        await self._gone.wait()
        self._child.wait()
        await asyncio.gather(*(gone(pid) for pid in tree))

    async def pause(self) -> None:
        """SIGSTOP to the whole tree."""
        self._signal(self.tree(), signal.SIGSTOP)

    async def resume(self) -> None:
        """SIGCONT to the whole tree."""
        self._signal(self.tree(), signal.SIGCONT)

    def tree(self) -> list[int]:
        """Its pid and those of all its descendants."""
        try:
            me = psutil.Process(self._child.pid)
            return [me.pid, *(child.pid for child in me.children(recursive=True))]
        except psutil.NoSuchProcess:
            return []

    def _signal(self, pids: Sequence[int], number: int) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _watch(self) -> None:
        """Set the event when the child ends: by its pidfd where there is one, else by looking."""
        loop = asyncio.get_running_loop()
        if not hasattr(os, "pidfd_open"):
            loop.call_later(0.05, self._look, loop)
            return
        handle = os.pidfd_open(self._child.pid)

        def ended() -> None:
            loop.remove_reader(handle)
            os.close(handle)
            self._gone.set()

        loop.add_reader(handle, ended)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._child.poll() is not None:
            self._gone.set()
        else:
            loop.call_later(0.05, self._look, loop)


async def gone(pid: int, seconds: float = 5.0) -> bool:
    """Wait until a process that is not our child has gone; a zombie has."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        await asyncio.sleep(0.005)
    return False


def tail(folder: Path, lines: int) -> str:
    """The last lines that a process in this folder wrote."""
    path = folder / "stderr.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def _popen(spec: Spec) -> subprocess.Popen[bytes]:
    """From the main thread only: the parent-death signal fires when the thread that spawned ends."""
    spec.folder.mkdir(parents=True, exist_ok=True)
    with (spec.folder / "stdout.log").open("wb") as out, (spec.folder / "stderr.log").open("ab") as err:
        as_user = {} if spec.user is None else {"user": spec.user, "group": spec.group, "extra_groups": []}
        return subprocess.Popen(
            spec.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=spec.folder, start_new_session=True,
            env={**os.environ, "TZ": "UTC", **spec.environment}, preexec_fn=_dies_with_us(spec.death_signal),
            **as_user,
        )  # type: ignore[call-overload,no-any-return]  # fmt: skip


def _dies_with_us(number: int) -> Callable[[], None] | None:
    """Runs in the child after its account was set: a change of credentials would clear the signal again."""
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask
