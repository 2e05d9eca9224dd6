"""Processes and their descendants: watch them end, freeze, thaw and kill them. A zombie has ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

from netra_sim.kernel.errors import LabError

OVER = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
POLL = 0.01  # seconds; only where the system has no event for a process's end


def start_time(pid: int) -> float | None:
    """When the process began, comparable for one pid on one machine only; None when it has ended."""
    if sys.platform != "linux":
        return _start_time_elsewhere(pid)
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # Ticks since boot: unlike a wall time they stand still when the machine's clock is set.
    return None if state in "ZX" else float(fields[18])


def watch(pid: int) -> asyncio.Future[None]:
    """A future that is done once the process has ended; cancel it to stop watching."""
    loop = asyncio.get_running_loop()
    if (fd := _pidfd(pid)) is None:
        return loop.create_task(_poll(pid))
    done: asyncio.Future[None] = loop.create_future()

    def release(_: asyncio.Future[None]) -> None:
        loop.remove_reader(fd)
        os.close(fd)

    def ended() -> None:
        loop.remove_reader(fd)
        if not done.done():
            done.set_result(None)

    loop.add_reader(fd, ended)
    done.add_done_callback(release)
    return done


def family(pid: int) -> list[psutil.Process]:
    """The process and all its descendants; empty when it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Signal each process that is still there."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def freeze(pid: int) -> list[psutil.Process]:
    """Stop the process first, so that it starts no more children, then its descendants; who was stopped."""
    send(family(pid)[:1], signal.SIGSTOP)
    members = family(pid)
    send(members, signal.SIGSTOP)
    return members


async def frozen(members: list[psutil.Process], within: float = 2.0) -> None:
    """Wait until all are seen stopped, for a signal needs its time; LabError after `within` seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while moving := [p for p in members if status(p) not in (psutil.STATUS_STOPPED, *OVER)]:
        if asyncio.get_running_loop().time() > deadline:
            raise LabError(detail=f"{len(moving)} of {len(members)} processes did not stop within {within} s.")
        await asyncio.sleep(POLL / 10)


def status(process: psutil.Process) -> str:
    """As psutil tells it; dead when it has gone."""
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_DEAD)


def thaw(pid: int) -> None:
    """Let the descendants, then the process, go on."""
    send(reversed(family(pid)), signal.SIGCONT)


async def kill(pid: int, within: float = 5.0) -> None:
    """SIGKILL the process and its descendants, and wait for their end; LabError after `within` seconds."""
    await kill_all(freeze(pid), within)


async def kill_all(processes: Iterable[psutil.Process], within: float = 5.0) -> None:
    """SIGKILL these processes and wait for their end; LabError after `within` seconds."""
    processes = list(processes)
    watched = [watch(process.pid) for process in processes]
    send(processes, signal.SIGKILL)
    await gone(watched, within)


async def gone(watched: list[asyncio.Future[None]], within: float) -> None:
    """Wait for all watched processes to end; LabError after `within` seconds."""
    if not watched:
        return
    try:
        _, left = await asyncio.wait(watched, timeout=within)
    finally:
        for future in watched:
            future.cancel()
    if left:
        raise LabError(detail=f"{len(left)} of {len(watched)} processes did not end within {within} s of SIGKILL.")


def _pidfd(pid: int) -> int | None:
    """A descriptor that is readable once the process has ended; None where there is no such thing."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # already reaped, or a kernel without it: polling answers both
        return None


async def _poll(pid: int) -> None:
    while start_time(pid) is not None:  # noqa: ASYNC110 - the system has no event for it
        await asyncio.sleep(POLL)


def _start_time_elsewhere(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
