"""The lab host's side of the pipe: JSON lines on stdin and stdout, and an orderly end whatever the reason.

Request {"id", "method", "params"}; reply {"id", "result"} or {"id", "error"}; progress {"id", "event"};
{"method": "cancel", "params": {"id": n}} cancels a call.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from netra_sim.kernel.errors import BadValue, NetraError, UnknownName

Emit = Callable[[dict[str, Any]], None]
Handler = Callable[[dict[str, Any], Emit], Awaitable[Any]]
Stop = Callable[[], Awaitable[None]]
LONGEST_LINE = 64 << 20  # bytes
CALLS_END, LAB_ENDS = 1.5, 3.0  # seconds; then the process exits, and the warden does what is left


def serve(handlers: Mapping[str, Handler], stop: Stop) -> int:
    """Answer requests until stdin ends, SIGTERM or SIGINT; then cancel the calls, `await stop()`, exit code 0."""
    import uvloop

    return int(uvloop.run(_Host(handlers, stop, _claim_stdout()).run()))


class _Host:
    def __init__(self, handlers: Mapping[str, Handler], stop: Stop, output: int) -> None:
        self._handlers, self._stop, self._output = handlers, stop, output
        self._calls: dict[Any, asyncio.Task[None]] = {}
        self._over = asyncio.Event()
        self._pipe: asyncio.WriteTransport | None = None

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        reader = asyncio.StreamReader(limit=LONGEST_LINE)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        output = os.fdopen(self._output, "wb", buffering=0)
        self._pipe, _ = await loop.connect_write_pipe(lambda: _Output(self._over.set), output)
        reading = asyncio.create_task(self._read(reader))
        await self._over.wait()
        reading.cancel()
        return await self._end()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._take(line)
        finally:
            self._over.set()

    def _take(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            id_, method, params = request.get("id"), request["method"], request.get("params") or {}
        except (ValueError, KeyError, AttributeError):
            wrong = BadValue(field="request", value=line[:200].decode(errors="replace"), allowed="a line of JSON")
            self._write({"id": None, "error": wrong.as_dict()})
            return
        if method == "cancel":
            if call := self._calls.get(params.get("id")):
                call.cancel()
            return
        call = asyncio.create_task(self._answer(id_, method, params))
        self._calls[id_] = call
        call.add_done_callback(lambda _: self._calls.pop(id_, None))

    async def _answer(self, id_: Any, method: str, params: dict[str, Any]) -> None:
        def emit(event: dict[str, Any]) -> None:
            self._write({"id": id_, "event": event})

        try:
            if method not in self._handlers:
                raise UnknownName(what="method", name=method, known=", ".join(self._handlers))
            self._write({"id": id_, "result": await self._handlers[method](params, emit)})
        except NetraError as error:
            self._write({"id": id_, "error": error.as_dict()})
        except asyncio.CancelledError:
            self._write({"id": id_, "error": {"code": "cancelled", "text": f"{method} was cancelled."}})
        except Exception as error:  # a fault of the handler's own: told, and traced in the host's log
            traceback.print_exc()
            self._write({"id": id_, "error": {"code": "internal", "text": f"{type(error).__name__}: {error}"}})

    def _write(self, reply: dict[str, Any]) -> None:
        if self._pipe is not None and not self._pipe.is_closing():
            self._pipe.write(json.dumps(reply, separators=(",", ":"), default=str).encode() + b"\n")

    async def _end(self) -> int:
        _mute_when_unheard()
        calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls, timeout=CALLS_END)
        try:
            await asyncio.wait_for(self._stop(), LAB_ENDS)
        except Exception:
            traceback.print_exc()
            return 1
        finally:
            if self._pipe is not None:
                self._pipe.close()
        return 0


class _Output(asyncio.BaseProtocol):
    """Tells when nobody reads the replies any more."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone

    def connection_lost(self, error: Exception | None) -> None:
        self._gone()


def _claim_stdout() -> int:
    """A descriptor for the replies alone; what is printed from now on goes to stderr."""
    replies = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


def _mute_when_unheard() -> None:
    """A client that has died reads no stderr: a print must not end the orderly end."""
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for fd in (1, 2):
            os.dup2(nowhere, fd)
