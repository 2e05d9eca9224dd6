"""Watches each worker's own account of its state, past the proxies, and records every change of it.

A record is `gauges`: what GET /health/state tells, or {"worker", "answers": false} while a worker does not answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from netra_sim.kernel.history import HistoryWriter

ACTOR = "observer"
EVERY, PATIENCE = 0.1, 1.0  # seconds between two looks; for an answer
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def observe(workers: Mapping[str, str], history: HistoryWriter, every: float = EVERY) -> None:
    """Look at all workers (name -> URL) until cancelled; one that is silent or gone is recorded as that."""
    async with asyncio.TaskGroup() as group:
        for name, url in workers.items():
            group.create_task(_watch(name, url, history, every))


async def _watch(name: str, url: str, history: HistoryWriter, every: float) -> None:
    eye, last = _Eye(url), None
    try:
        while True:
            told = await eye.look() or {"worker": name, "answers": False}
            if told != last:
                history.seen(ACTOR, "gauges", **told)
                last = told
            await history.clock.sleep(every)
    finally:
        eye.close()


class _Eye:
    """One kept connection: a full HTTP client would cost more than the worker's answer."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._request = f"GET /health/state HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        self._streams: _Streams | None = None

    async def look(self) -> dict[str, Any] | None:
        """What the worker tells of itself; None when it does not answer."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._ask()
        except (OSError, EOFError, ValueError):  # away, silent, cut off, or no answer of ours
            self.close()
            return None

    def close(self) -> None:
        """Let go of the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _ask(self) -> dict[str, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        body = await reader.readexactly(_length(head))
        if " 200 " not in head.split("\r\n", 1)[0]:
            raise ValueError(head)
        told: dict[str, Any] = json.loads(body)
        return told


def _length(head: str) -> int:
    values = [line.partition(":")[2] for line in head.split("\r\n") if line.startswith("content-length:")]
    return int(values[0]) if values else 0
