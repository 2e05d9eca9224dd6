"""Carries a plan out and writes what it did into the history: planned, fired, healed, with what was hit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from netra_sim.faults.control import FaultControl
from netra_sim.faults.plan import Plan, Step
from netra_sim.kernel.errors import UnknownName
from netra_sim.kernel.history import HistoryWriter

EARLY = 5.0  # the proxy's own lease outlives ours by this many seconds: it acts only when we are gone


class Killable(Protocol):
    """A process that faults may strike."""

    name: str

    async def kill(self) -> None:
        """SIGKILL."""
        ...

    async def restart(self) -> None:
        """Start it again on the same data and port."""
        ...

    async def pause(self) -> None:
        """Freeze it."""
        ...

    async def resume(self) -> None:
        """Let it go on."""
        ...


class Nemesis:
    """One run's faults; edges are named `<prefix><target>` at the proxy."""

    def __init__(
        self, plan: Plan, control: FaultControl, killables: Mapping[str, Killable], history: HistoryWriter, prefix: str
    ) -> None:
        self._plan, self._control, self._killables = plan, control, killables
        self._history, self._prefix = history, prefix
        for step in plan.steps:
            if step.on_process and step.target not in killables:
                raise UnknownName(what="process", name=step.target, known=", ".join(killables))

    async def run(self) -> None:
        """Every step at its time; cancelled, it heals at once what it has struck."""
        planned = [
            (n, step, self._history.fault(None, step.kind, "planned", target=step.target, at=step.at, lease=step.lease,
                                          attributes=dict(step.attributes)))
            for n, step in enumerate(self._plan.steps)
        ]  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for number, step, fault in planned:
                group.create_task(self._step(number, step, fault))

    async def _step(self, number: int, step: Step, fault: int) -> None:
        await self._history.clock.sleep(step.at)
        strike = self._strike_process if step.on_process else self._strike_wire
        await strike(number, step, fault)

    async def _strike_wire(self, number: int, step: Step, fault: int) -> None:
        proxy, name = f"{self._prefix}{step.target}", f"{step.kind}-{number}"
        toxic: dict[str, Any] = {
            "name": name, "type": step.kind, "stream": step.stream, "toxicity": step.toxicity,
            "attributes": dict(step.attributes),
        }  # fmt: skip
        if step.lease is not None and step.heal:
            toxic["lease_ms"] = round((step.lease + EARLY) * 1000)
        set_ = await self._control.add_toxic(proxy, toxic)
        self._history.fault(fault, step.kind, "fired", target=step.target, hits=set_["hits"])
        if not step.heal:
            return
        hits = set_["hits"]
        try:
            await self._lease(step)
        finally:
            left = await self._control.toxic(proxy, name)
            hits = left["hits"] if left else hits
            await self._control.remove_toxic(proxy, name)
            self._history.fault(fault, step.kind, "healed", target=step.target, hits=hits)

    async def _strike_process(self, _number: int, step: Step, fault: int) -> None:
        process = self._killables[step.target]
        undo = process.resume if step.kind == "pause" else process.restart
        await (process.pause() if step.kind == "pause" else process.kill())
        self._history.fault(fault, step.kind, "fired", target=step.target, hits=1)
        if not step.heal:
            return
        try:
            if step.kind != "restart":
                await self._lease(step)
        finally:
            await undo()
            self._history.fault(fault, step.kind, "healed", target=step.target, hits=1)

    async def _lease(self, step: Step) -> None:
        if step.lease is None:
            await asyncio.Event().wait()  # until the run ends and cancels us
        else:
            await self._history.clock.sleep(step.lease)
