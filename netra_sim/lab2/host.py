"""The lab host: answers JSON lines on its standard streams, owns every child, ends when its client does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from netra_sim.kernel.errors import NetraError

Emit = Callable[[dict[str, Any]], None]
Handler = Callable[[dict[str, Any], Emit], Awaitable[Any]]
LIMIT = 1 << 24  # bytes of a line


class Host:
    """Serves the handlers until the client closes the pipe, or SIGTERM or SIGINT comes; then stops in order."""

    def __init__(self, handlers: Mapping[str, Handler], stop: Callable[[], Awaitable[None]]) -> None:
        self._handlers, self._stop = handlers, stop
        self._calls: dict[int, asyncio.Task[None]] = {}
        # A stray print of any library must not end up between our lines.
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    async def serve(self) -> None:
        """Read requests; each runs beside the others."""
        loop = asyncio.get_running_loop()
        over = asyncio.create_task(self._read())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, over.cancel)
        await asyncio.wait([over])
        for call in tuple(self._calls.values()):
            call.cancel()
        await asyncio.gather(*self._calls.values(), return_exceptions=True)
        await self._stop()

    async def _read(self) -> None:
        reader = asyncio.StreamReader(limit=LIMIT)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            asked = json.loads(line)
            if asked["method"] == "cancel":
                if call := self._calls.get(asked["params"]["id"]):
                    call.cancel()
                continue
            task = asyncio.create_task(self._call(asked["id"], asked["method"], asked.get("params") or {}))
            self._calls[asked["id"]] = task
            task.add_done_callback(lambda _, id_=asked["id"]: self._calls.pop(id_, None))

    async def _call(self, id_: int, method: str, params: dict[str, Any]) -> None:
        try:
            result = await self._handlers[method](params, lambda event: self._tell({"id": id_, "event": event}))
        except asyncio.CancelledError:
            self._tell({"id": id_, "error": NetraError(detail="The call was cancelled.").as_dict()})
            raise
        except Exception as error:
            self._tell({"id": id_, "error": described(error)})
        else:
            self._tell({"id": id_, "result": result})

    def _tell(self, line: dict[str, Any]) -> None:
        try:
            self._out.write(json.dumps(line) + "\n")
        except (BrokenPipeError, ValueError):
            return  # the client has gone; its closed pipe ends us anyway


def described(error: BaseException) -> dict[str, Any]:
    """An error for the other side of the pipe; one that is no fact of ours is told with its traceback."""
    import traceback

    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, NetraError):
        return error.as_dict()
    text = "".join(traceback.format_exception(error))
    return NetraError(detail=f"The lab host failed: {error!r}\n{text}").as_dict()
