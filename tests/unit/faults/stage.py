"""A nemesis with a control and processes in memory and a clock moved by hand."""

import asyncio
from typing import Any

import pytest

from netra_sim.faults.nemesis import Nemesis
from netra_sim.faults.plan import Plan, Step
from netra_sim.kernel.clock import ManualClock
from netra_sim.kernel.errors import FaultError
from netra_sim.kernel.history import HistoryWriter

BAD_PROXY = FaultError(detail="gone")


class Control:
    """The control of a proxy process, in memory."""

    def __init__(self) -> None:
        self.toxics: dict[tuple[str, str], dict[str, Any]] = {}
        self.disabled: set[str] = set()
        self.lost = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()

    async def _ask(self) -> None:
        await self.answers.wait()
        if self.lost.is_set():
            raise BAD_PROXY

    async def gone(self) -> None:
        await self.lost.wait()
        raise BAD_PROXY

    async def add_toxic(self, proxy: str, toxic: dict[str, Any]) -> dict[str, Any]:
        set_ = self.toxics[proxy, toxic["name"]] = {**toxic, "hits": 0}  # it arrives though nobody hears the answer
        await self._ask()
        return dict(set_)

    async def toxic(self, proxy: str, name: str) -> dict[str, Any] | None:
        await self._ask()
        return self.toxics.get((proxy, name))

    async def remove_toxic(self, proxy: str, name: str) -> None:
        await self._ask()
        self.toxics.pop((proxy, name), None)

    async def proxies(self, prefix: str = "") -> dict[str, Any]:
        await self._ask()
        names = {proxy for proxy, _ in self.toxics} | self.disabled
        return {
            name: {
                "enabled": name not in self.disabled,
                "toxics": [toxic for (proxy, _), toxic in self.toxics.items() if proxy == name],
            }
            for name in sorted(names)
            if name.startswith(prefix)
        }


class Process:
    """A process that only remembers what was done to it."""

    name = "postgres"

    def __init__(self) -> None:
        self.done: list[str] = []
        self.alive, self.paused = True, False
        self.starts = asyncio.Event()
        self.starts.set()

    async def kill(self) -> None:
        self.done.append("kill")
        self.alive = False

    async def restart(self) -> None:
        await self.starts.wait()
        self.done.append("restart")
        self.alive = True

    async def limit(self, what: str, more: int) -> None:
        self.done.append(f"{more} more {what}")

    async def unlimit(self, what: str) -> None:
        self.done.append(f"{what} as before")

    async def offset_clock(self, seconds: float) -> None:
        self.done.append(f"clock {seconds:+}")

    async def pause(self) -> None:
        self.done.append("pause")
        self.paused = True

    async def resume(self) -> None:
        self.done.append("resume")
        self.paused = False


class Stage:
    """A nemesis at work."""

    def __init__(self, *steps: Step) -> None:
        self.clock, self.control, self.process = ManualClock(), Control(), Process()
        self.history = HistoryWriter(self.clock)
        self.worker = Process()
        processes = {"postgres": self.process, "worker-1": self.worker}
        self.nemesis = Nemesis(Plan(steps), self.control, processes, self.history, prefix="run/")  # type: ignore[arg-type]
        self.task = asyncio.ensure_future(self.nemesis.run())

    async def until(self, seconds: float) -> None:
        await self.clock.advance(seconds - self.clock.now_ns() / 1e9)

    @property
    def told(self) -> list[tuple[float, str, str]]:
        records = self.history.freeze().records[1:]
        return [(record.t / 1e9, record.f, record.phase) for record in records]

    async def stop(self) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task
