"""The notebook's side of the pipe: it starts the lab host process and calls it. Any asyncio loop will do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from netra_sim.kernel.errors import HostGone, NetraError
from netra_sim.lab.host import LONGEST_LINE
from netra_sim.lab.spawn import environment, exit_text
from netra_sim.lab.waiting import Taken, order, take

HOST = (sys.executable, "-m", "netra_sim", "host")
END = 6.0  # seconds for the host to end in order once its stdin has closed
OnEvent = Callable[[dict[str, Any]], None]


class HostClient:
    """A lab host of its own; it ends when this process does, whatever ends that."""

    def __init__(self, command: Sequence[str] = HOST) -> None:
        self._command = tuple(command)
        self._ids = itertools.count(1)
        self._calls: dict[int, tuple[asyncio.Future[Any], OnEvent | None]] = {}
        self._process: asyncio.subprocess.Process | Taken | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._errors: deque[str] = deque(maxlen=20)
        self._gone: HostGone | None = None

    @property
    def pid(self) -> int | None:
        """The host process, or None before `start`."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the host in a session of its own, so that ctrl-C reaches this process alone."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=environment({}),
            start_new_session=True,
            limit=LONGEST_LINE,
        )
        self._attach(process)

    async def start_lab(self, params: dict[str, Any]) -> Any:
        """Have a lab: the one that a keeper has waiting, if it is as wanted, else a new one; what `start` told."""
        if (waiting := await take(order(self._command, params))) is not None:
            self._attach(waiting)
            return waiting.answer
        await self.start()
        return await self.call("start", params)

    async def call(self, method: str, params: dict[str, Any] | None = None, on_event: OnEvent | None = None) -> Any:
        """The result of a method; raises the NetraError it raised, or HostGone. Cancelling this cancels the method."""
        if self._process is None or self._gone is not None:
            raise self._gone or HostGone(cause="it was not started")
        id_ = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls[id_] = (future, on_event)
        try:
            await self._send({"id": id_, "method": method, "params": params or {}})
            return await future
        except asyncio.CancelledError:
            self._write({"method": "cancel", "params": {"id": id_}})
            raise
        finally:
            self._calls.pop(id_, None)

    async def close(self) -> None:
        """End the host in order; kill it when it does not end (its warden then cleans up)."""
        if self._process is None:
            return
        self._gone = self._gone or HostGone(cause="it was closed")
        if self._process.stdin:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), END)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
        finally:
            await asyncio.gather(*self._readers)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _attach(self, process: asyncio.subprocess.Process | Taken) -> None:
        self._process = process
        self._readers = [asyncio.create_task(self._read(process)), asyncio.create_task(self._hear(process))]

    async def _send(self, request: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._write(request)
        with contextlib.suppress(ConnectionError):  # its end is told by the reader, with the cause
            await self._process.stdin.drain()

    def _write(self, request: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")

    async def _read(self, process: asyncio.subprocess.Process | Taken) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._take(json.loads(line))
        code = await process.wait()
        await asyncio.wait(self._readers[1:])
        said = f"; its last words: {' | '.join(self._errors)}" if self._errors and code != 0 else ""
        how = "it ended" if code is None else exit_text(code)
        self._gone = self._gone or HostGone(cause=how + said)
        for future, _ in self._calls.values():
            if not future.done():
                future.set_exception(self._gone)

    async def _hear(self, process: asyncio.subprocess.Process | Taken) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            self._errors.append(line.decode(errors="replace").rstrip())

    def _take(self, reply: dict[str, Any]) -> None:
        future, on_event = self._calls.get(reply.get("id") or 0, (None, None))
        if future is None or future.done():
            return
        if "event" in reply:
            if on_event is not None:
                on_event(reply["event"])
        elif "error" in reply:
            future.set_exception(NetraError.from_dict(reply["error"]))
        else:
            future.set_result(reply.get("result"))
