"""The notebook's side of a session of play: inject a fault, watch, heal, stop, look at what was recorded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from netra_sim.lab.client import HostClient
from netra_sim.reports.live import Live
from netra_sim.reports.result import SCHEMA, Result

Tick = dict[str, Any]


class Play:
    """A session of play; `Lab.play` begins one. The lab host owns everything of it and ends it with the kernel."""

    def __init__(self, client: HostClient, folder: Path) -> None:
        self._client, self._folder = client, folder
        self._ready: asyncio.Future[dict[str, list[str]]] = asyncio.get_running_loop().create_future()
        self._call: asyncio.Task[Any] | None = None
        self.edges: list[str] = []
        self.processes: list[str] = []
        self.live = Live()
        self.on_tick: Callable[[Tick], None] | None = None  # whoever draws the ticks
        self._answered = 0
        self._goals: list[tuple[int, asyncio.Future[None]]] = []

    @classmethod
    async def start(cls, client: HostClient, parameters: dict[str, Any], folder: Path) -> Self:
        """Once users can arrive; raises what the host raises."""
        play = cls(client, folder)
        asked = {"parameters": parameters, "folder": str(folder)}
        play._call = call = asyncio.create_task(client.call("play", asked, on_event=play._take))
        try:
            await asyncio.wait([call, play._ready], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            call.cancel()
            raise
        if not play._ready.done():
            await call
        told = await play._ready
        play.edges, play.processes = told["edges"], told["processes"]
        return play

    async def inject(
        self, kind: str, target: str, *, stream: str = "", toxicity: float = 1.0, **attributes: Any
    ) -> int:
        """Strike an edge with a kind of the wire's, or a service or worker with one of a process; the fault's number.

        `stream` is the kind's own where none is given. UnknownName or BadValue before anything happens.
        """
        asked = {"kind": kind, "target": target, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        return int(await self._ask("inject", asked))

    async def heal(self, number: int | None = None) -> list[int]:
        """End one fault, or all; the numbers of those that it ended."""
        return list(await self._ask("heal", {"number": number}))

    async def faults(self) -> list[dict[str, Any]]:
        """The faults that are active: number, kind, target, attributes."""
        return list(await self._ask("faults", {}))

    async def answers(self, wanted: int) -> None:
        """Wait until so many more questions have been answered; raises what ended the session before."""
        assert self._call is not None
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._goals.append((self._answered + wanted, reached))
        await asyncio.wait([self._call, reached], return_when=asyncio.FIRST_COMPLETED)
        if not reached.done():
            await self.faults()

    async def stop(self) -> Result:
        """Heal everything, send the users home, remove the platform; what was recorded, unjudged, for `show`."""
        assert self._call is not None
        if not self._call.done():
            await self._ask("stop_play", {})
        await self._call
        data = {"schema": SCHEMA, "scenario": "play", "verdict": "unknown", "checks": [], "controls": []}
        return Result({**data, "history": "history.jsonl"}, self._folder)

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        """What the host answers; what ended the session, if that is why it cannot."""
        if self._call is not None and self._call.done():
            with contextlib.suppress(asyncio.CancelledError):
                self._call.result()
        return await self._client.call(method, params)

    def _take(self, event: dict[str, Any]) -> None:
        if "ready" in event and not self._ready.done():
            self._ready.set_result(event["ready"])
        elif "tick" in event:
            self.live.note(event)
            self._count(event["tick"])
            if self.on_tick is not None:
                self.on_tick(event["tick"])

    def _count(self, tick: Tick) -> None:
        """Wake those who wait for answers."""
        self._answered += tick["ops"].get("chat", {}).get("ok", 0)
        for goal, reached in self._goals:
            if goal <= self._answered and not reached.done():
                reached.set_result(None)
        self._goals = [one for one in self._goals if not one[1].done()]
