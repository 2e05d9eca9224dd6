"""Time as a parameter: the system's clock, and one that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """What the package asks of a clock."""

    def now_ns(self) -> int:
        """Nanoseconds of a clock that never goes back; its zero means nothing."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock."""
        ...


class SystemClock:
    """CLOCK_MONOTONIC: one time line for every process of a machine."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary zero shared by all processes of the machine."""
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until `advance` moves it; sleepers wake in the order of their time."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now = start_ns
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        """The nanoseconds the test has let pass."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has passed the wake time."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        due = self._now + round(seconds * 1e9)
        heapq.heappush(self._sleepers, (due, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on by `seconds`, waking each sleeper at its own time and letting it run."""
        end = self._now + round(seconds * 1e9)
        await _let_run()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            if not future.done():
                future.set_result(None)
            await _let_run()
        self._now = end


async def _let_run() -> None:
    """Give tasks that are ready a few turns of the loop."""
    for _ in range(10):
        await asyncio.sleep(0)
