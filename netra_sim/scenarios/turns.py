"""Turns that a sweep gives its runs, through a named pipe with a byte a turn; without one nobody waits."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PIPE = "NETRA_TURNS"  # names the pipe
PROTECTED = "protected"  # the trial that is no control
# Phases of a trial: before its turn, when all that users do is over and it reads what they left, and after its last.
WAITING, AUDITING, ENDED = "waiting", "auditing", "ended"


class Turns:
    """The taking side, in the process that runs trials: first the protected one's turn, then one for each control."""

    def __init__(self, pipe: str = "") -> None:
        self.given = bool(pipe)
        self._pipe = pipe
        self._lock = asyncio.Lock()

    async def take(self) -> None:
        """Wait for a turn; the sweep is told of its end by the progress of the trial."""
        if self.given:
            async with self._lock:
                await self._byte()

    async def _byte(self) -> None:
        with _opened(self._pipe, os.O_RDONLY) as fd:
            loop, come = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(fd, come.set)
            try:
                await come.wait()
            finally:
                loop.remove_reader(fd)
            os.read(fd, 1)


class Giver:
    """The giving side, in the sweep: it keeps the pipe open, so that no turn is lost before it is taken."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._path, self._fd = path, os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def give(self) -> None:
        """One turn."""
        os.write(self._fd, b".")

    def close(self) -> None:
        """No more turns: the run has ended."""
        os.close(self._fd)
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)
