"""A child process that cannot outlive its parent, with its output in a log file."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

import psutil

from netra_sim.kernel.errors import LabError, StartFailed
from netra_sim.lab import tree
from netra_sim.lab.settings import redact

PR_SET_PDEATHSIG = 1
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: `cwd` marks whose it is, `user` (root only) as whom it runs; `death` comes when the parent dies."""

    name: str
    argv: tuple[str, ...]
    cwd: Path
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop: signal.Signals = signal.SIGTERM
    death: signal.Signals | None = signal.SIGKILL
    announces: bool = False  # prints one line of JSON to stdout when it is ready
    stdin: int = subprocess.DEVNULL  # as Popen takes it; a PIPE is a leash: it ends with the parent


class Started(Protocol):
    """What a `Process` asks of the child that it stands for."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def stdin(self) -> IO[bytes] | None:
        """The pipe to it, if there is one."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """The pipe from it, if there is one."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""

    def wait(self) -> int:
        """Its exit code, once it has ended."""

    def watch(self) -> asyncio.Future[None]:
        """Done when it has ended and `poll` tells how."""


class Process:
    """A running child in a session of its own; start it from the main thread, in a running loop."""

    def __init__(self, command: Command, started: Started | None = None) -> None:
        if command.death and threading.current_thread() is not threading.main_thread():
            raise LabError(detail="A lab must be started from the main thread: its processes die with that thread.")
        self.command = command
        self._started: Started = started or _popen(command)
        self.pid = self._started.pid
        self._ended = self._started.watch()
        self._announced: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if command.announces:
            self._listen()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._started.poll() is None

    @property
    def paused(self) -> bool:
        """Whether it or a descendant is stopped by a signal."""
        return any(tree.status(p) == psutil.STATUS_STOPPED for p in tree.family(self.pid)) if self.alive else False

    async def wait(self) -> int:
        """Its exit code once it has ended; minus the signal's number when one killed it."""
        await asyncio.shield(self._ended)
        return self._started.wait()

    async def ended_within(self, seconds: float) -> bool:
        """Wait at most `seconds` for its end; whether it has ended."""
        await asyncio.wait([self._ended], timeout=seconds)
        return not self.alive

    async def answer(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `ask` gives, unless the process ends before: StartFailed."""
        asking = asyncio.ensure_future(ask())
        either: list[asyncio.Future[Any]] = [asking, self._ended]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise self.failure("it ended")
            return asking.result()
        finally:
            asking.cancel()

    async def ready(self, within: float) -> dict[str, Any]:
        """What it announced; StartFailed when it ended before, or said nothing for `within` seconds."""
        either: list[asyncio.Future[Any]] = [self._announced, self._ended]
        await asyncio.wait(either, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        if not self._announced.done():
            raise self.failure(f"it was not ready within {within:g} s")
        return self._announced.result()

    def failure(self, cause: str) -> StartFailed:
        """The error that tells how it ended, or else `cause`, with its last log lines."""
        code = self._started.poll()
        told = cause if code is None else f"it ended with {exit_text(code)}"
        return StartFailed(service=self.command.name, cause=told, log=tail(self.command.log))

    async def terminate(self, grace: float, number: signal.Signals | None = None) -> None:
        """Ask it to end; after `grace` seconds kill it. No descendant is left either way."""
        members = tree.family(self.pid) if self.alive else []
        tree.send(members, signal.SIGCONT)
        tree.send(members[:1], number or self.command.stop)
        if await self.ended_within(grace if members else 0):
            await tree.kill_all(members[1:])
        else:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL it and all its descendants, and wait until they are gone."""
        if self.alive:
            await tree.kill(self.pid)
            await self.wait()

    async def pause(self) -> None:
        """Freeze it and all its descendants, and wait until they stand still; LabError when it does not run."""
        if not self.alive:
            raise LabError(detail=f"{self.command.name} cannot be paused: it does not run.")
        await tree.frozen(tree.freeze(self.pid))

    def resume(self) -> None:
        """Let it and its descendants go on."""
        if self.alive:
            tree.thaw(self.pid)

    def release(self) -> None:
        """Close the pipe to its stdin."""
        if self._started.stdin:
            self._started.stdin.close()

    def _listen(self) -> None:
        """Take the first line as the announcement; what follows goes to the log."""
        assert self._started.stdout is not None
        pipe, loop = self._started.stdout, asyncio.get_running_loop()
        heard = bytearray()

        def hear() -> None:
            chunk = os.read(pipe.fileno(), 65536)
            if not chunk:
                loop.remove_reader(pipe.fileno())
                pipe.close()
            elif self._announced.done():
                _append(self.command.log, chunk)
            else:
                heard.extend(chunk)
                self._hear_first(heard)

        loop.add_reader(pipe.fileno(), hear)

    def _hear_first(self, heard: bytearray) -> None:
        line, newline, rest = heard.partition(b"\n")
        if not newline:
            return
        try:
            self._announced.set_result(dict(json.loads(line)))
            _append(self.command.log, rest)
        except (ValueError, TypeError):  # a stray print before the announcement
            _append(self.command.log, line + newline)
            heard[:] = rest
            self._hear_first(heard)


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for a Python child that must find this package from any directory."""
    root = Path(__file__).parents[2]
    paths = [] if root.name in ("site-packages", "dist-packages") else [str(root)]
    paths += [p for p in (os.environ.get("PYTHONPATH"),) if p]
    found = {"PYTHONPATH": os.pathsep.join(paths)} if paths else {}
    return {**os.environ, **found, "PYTHONSAFEPATH": "1", "TZ": "UTC", **extra}


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, without passwords; a sentence when there are none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        text = ""
    return redact("\n".join(text.splitlines()[-lines:])) or "(it wrote nothing)"


def exit_text(code: int) -> str:
    """`exit code 1`, or `SIGKILL` for a process that a signal ended."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def variables(command: Command) -> dict[str, str]:
    """All that is in the command's environment."""
    return {**(command.env or os.environ), "TZ": "UTC"}


class _Popen(subprocess.Popen[bytes]):
    def watch(self) -> asyncio.Future[None]:
        ended = tree.watch(self.pid)
        ended.add_done_callback(lambda _: self.poll())
        return ended


def _popen(command: Command) -> _Popen:
    identity: dict[str, Any] = {}
    if command.user:
        account = pwd.getpwnam(command.user)
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    with command.log.open("ab") as log:
        return _Popen(
            command.argv,
            cwd=command.cwd,
            env=variables(command),
            stdin=command.stdin,
            stdout=subprocess.PIPE if command.announces else log,
            stderr=log,
            start_new_session=True,
            # It only calls the kernel: nothing in it can wait for a lock that another thread held at the fork.
            preexec_fn=dies_with_parent(command.death) if command.death else None,
            **identity,
        )


def dies_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """For a child to run, after it changed its user: a change of user would clear the parent-death signal."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask_the_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return ask_the_kernel


def _append(log: Path, text: bytes | bytearray) -> None:
    with contextlib.suppress(FileNotFoundError), log.open("ab") as file:
        file.write(text)
