"""The notebook's end of the pipe to its lab host."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from netra_sim.kernel.errors import HostGone, NetraError

LIMIT = 1 << 24  # bytes of a line
CLOSE = 10.0  # seconds for the host to end in order
OnEvent = Callable[[dict[str, Any]], None]


class HostClient:
    """Starts a host process and calls its methods; works on any event loop."""

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "netra_sim", "host")) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ids = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Any], OnEvent | None]] = {}

    @property
    def pid(self) -> int | None:
        """The host's process id."""
        return self._process and self._process.pid

    async def start(self) -> None:
        """Spawn the host in a session of its own: a ctrl-C in the notebook is for the notebook."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LIMIT,
            start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read())

    async def call(self, method: str, params: dict[str, Any] | None = None, on_event: OnEvent | None = None) -> Any:
        """The method's result; the error that it raised, or HostGone. Cancelling the wait cancels the call."""
        if self._process is None or self._process.stdin is None or self._process.returncode is not None:
            raise HostGone(cause="it is not running")
        id_ = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = (future, on_event)
        try:
            self._write({"id": id_, "method": method, "params": params or {}})
            return await future
        except asyncio.CancelledError:
            self._write({"id": 0, "method": "cancel", "params": {"id": id_}})
            raise
        finally:
            del self._waiting[id_]

    async def close(self) -> None:
        """Close the pipe, upon which the host stops its lab, and wait for its end."""
        if self._process is None or self._reader is None:
            return
        process, self._process = self._process, None
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), CLOSE)
        except TimeoutError:
            process.kill()
            await process.wait()
        await self._reader

    def _write(self, line: dict[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def _read(self) -> None:
        process = self._process
        assert process is not None and process.stdout is not None
        while line := await process.stdout.readline():
            told = json.loads(line)
            future, on_event = self._waiting.get(told["id"], (None, None))
            if "event" in told:
                if on_event is not None:
                    on_event(told["event"])
            elif future is not None and not future.done():
                if "error" in told:
                    future.set_exception(NetraError.from_dict(told["error"]))
                else:
                    future.set_result(told["result"])
        code = await process.wait()
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(HostGone(cause=f"it ended with code {code}"))
