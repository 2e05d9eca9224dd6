"""Carries a plan out and writes what it did into the history: planned, fired, healed, with what was hit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from netra_sim.faults.control import FaultControl
from netra_sim.faults.plan import SCRIPT, STREAMS, Plan, Step
from netra_sim.faults.process import Killable, OnProcess, chosen
from netra_sim.faults.script import Rules
from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.history import HistoryWriter

EARLY = 5.0  # the proxy's own lease outlives ours by this many seconds: it acts only when we are gone


class Scripted(Protocol):
    """A model server that takes this run's rules."""

    async def put(self, name: str, rules: Rules) -> int:
        """Put the rules named so in force, none to remove them; the hits of those replaced."""
        ...


class Nemesis:
    """One run's faults; edges are named `<prefix><target>` at the proxy."""

    def __init__(
        self,
        plan: Plan,
        control: FaultControl,
        killables: Mapping[str, Killable],
        history: HistoryWriter,
        prefix: str,
        scripted: Scripted | None = None,
        *,
        label: str = "",
        struck: Callable[[], None] = lambda: None,
    ) -> None:
        """`label` keeps the toxics of several plans on an edge apart; `struck` is called after each blow."""
        self._label, self._struck = label, struck
        self._seed, self._control, self._killables = plan.seed, control, killables
        self._history, self._prefix, self._scripted = history, prefix, scripted
        self._steps = [self._aimed(number, step) for number, step in enumerate(plan.steps)]
        if scripted is None and any(step.kind == SCRIPT for step in plan.steps):
            raise BadValue(field="kind", value=SCRIPT, allowed="what needs no script: no model server was given")

    async def run(self) -> None:
        """Every step at its time; cancelled, it heals at once what it struck. FaultError when the proxy has gone."""
        planned = [
            (n, step, self._history.fault(None, step.kind, "planned", target=step.target, at=step.at, lease=step.lease,
                                          attributes=dict(step.attributes), stream=step.stream, on=step.on,
                                          nth=step.nth, **_named(step)))
            for n, step in enumerate(self._steps)
        ]  # fmt: skip
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._control.gone())
                await asyncio.gather(*[group.create_task(self._step(*each)) for each in planned])
                watch.cancel()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors  # the first cancelled the others

    def _aimed(self, number: int, step: Step) -> Step:
        """With the process that it strikes as its target; UnknownName."""
        return (
            replace(step, target=chosen(step.target, self._killables, self._seed, number)) if step.on_process else step
        )

    async def _step(self, number: int, step: Step, fault: int) -> None:
        if step.trigger is not None:
            await step.trigger.come(self._history)
        await self._history.clock.sleep(step.at)
        on = self._on(number, step)
        firing = asyncio.ensure_future(self._fire(on, step, fault))
        try:
            await _through(firing)  # cancelled in its midst, it strikes nevertheless
            if step.heal and step.kind != "restart":
                await self._lease(step)
        finally:
            if step.heal and firing.exception() is None:
                await _through(asyncio.ensure_future(self._heal(on, step, fault)))

    def _on(self, number: int, step: Step) -> _OnWire | OnProcess | _OnScript:
        if step.kind == SCRIPT and self._scripted is not None:
            return _OnScript(self._scripted, f"{step.kind}-{number}", step)
        if step.on_process:
            return OnProcess(self._killables[step.target], step.kind, step.attributes)
        toxic = f"{self._label}{step.kind}-{number}"
        return _OnWire(self._control, f"{self._prefix}{step.target}", toxic, step, self._seed)

    async def _fire(self, on: _OnWire | OnProcess | _OnScript, step: Step, fault: int) -> None:
        began = self._history.clock.now_ns()  # a kill takes a while, and what it hits meanwhile is its own
        hits = await on.strike()
        self._history.fault(fault, step.kind, "fired", target=step.target, hits=hits, began=began)
        self._struck()

    async def _heal(self, on: _OnWire | OnProcess | _OnScript, step: Step, fault: int) -> None:
        hits = await on.heal()
        self._history.fault(fault, step.kind, "healed", target=step.target, hits=hits)

    async def _lease(self, step: Step) -> None:
        if step.lease is None:
            await asyncio.Event().wait()  # until the run ends and cancels us
        else:
            await self._history.clock.sleep(step.lease)


class _OnWire:
    """A step's toxics on a proxy, one in each direction that it strikes; both ways tell the hits so far."""

    def __init__(self, control: FaultControl, proxy: str, name: str, step: Step, seed: int) -> None:
        self._control, self._proxy, self._step, self._seed = control, proxy, step, seed
        both = step.stream == "both"
        self._names = {f"{name}-{way}": way for way in STREAMS[:2]} if both else {name: step.stream}
        self._hits = dict.fromkeys(self._names, 0)

    async def strike(self) -> int:
        for name in self._names:
            await self._set(name)
        return sum(self._hits.values())

    async def heal(self) -> int:
        for name in self._names:
            await self._remove(name)
        return sum(self._hits.values())

    async def _set(self, name: str) -> None:
        step = self._step
        toxic: dict[str, Any] = {
            "name": name, "type": step.kind, "stream": self._names[name], "toxicity": step.toxicity,
            "attributes": dict(step.attributes), "seed": self._seed,
        }  # fmt: skip
        if step.lease is not None and step.heal:
            toxic["lease_ms"] = round((step.lease + EARLY) * 1000)
        self._hits[name] = (await self._control.add_toxic(self._proxy, toxic))["hits"]

    async def _remove(self, name: str) -> None:
        left = await self._control.toxic(self._proxy, name)
        await self._control.remove_toxic(self._proxy, name)
        self._hits[name] = int(left["hits"]) if left else self._hits[name]


class _OnScript:
    """A step's rules at the model server; what they struck is known when they are removed."""

    def __init__(self, scripted: Scripted, name: str, step: Step) -> None:
        self._scripted, self._name, self._rules = scripted, name, step.script

    async def strike(self) -> int:
        await self._scripted.put(self._name, self._rules)
        return 0

    async def heal(self) -> int:
        return await self._scripted.put(self._name, ())


def _named(step: Step) -> dict[str, Any]:
    """What only some steps have."""
    told = {"label": step.label, "script": list(step.script)}
    return {name: value for name, value in told.items() if value}


async def _through(task: asyncio.Future[None]) -> None:
    """Wait to its end however often cancelled meanwhile: half a heal is residue."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
