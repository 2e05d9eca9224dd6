"""The platform under a steady load for as long as somebody plays with it; faults are injected and healed by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from netra_sim.faults.control import FaultControl
from netra_sim.faults.kinds import KINDS
from netra_sim.faults.kinds.message import MessageKind
from netra_sim.faults.nemesis import Nemesis
from netra_sim.faults.plan import Plan, Step
from netra_sim.faults.process import chosen
from netra_sim.kernel.errors import BadValue, UnknownName
from netra_sim.kernel.history import HistoryWriter
from netra_sim.kernel.rng import Rng
from netra_sim.lab.lab import Lab
from netra_sim.lab.service import Service
from netra_sim.scenarios.platform import platform, services
from netra_sim.scenarios.scenario import Parameters
from netra_sim.scenarios.ticks import Watch, ticking
from netra_sim.scenarios.trial import REQUEST_DEADLINE, RUN_LIMIT
from netra_sim.users import tenants
from netra_sim.users.api import Settings
from netra_sim.users.load import arrivals
from netra_sim.users.observer import observe
from netra_sim.users.persona import Profile, account, persona
from netra_sim.users.session import Session


class PlayParameters(Parameters):
    """Users who come back visit after visit, until they are stopped."""

    users: int = Field(20, ge=1, le=500, description="simulated users at once")
    messages: int = Field(5, ge=1, le=100, description="messages of each visit")
    think: float = Field(4.0, gt=0, le=600, description="median time between questions, seconds before time_scale")

    @property
    def profile(self) -> Profile:
        """What kind of users: they have an account, and chat."""
        each = (self.messages, self.messages)
        return Profile(messages=each, think_s=self.think, signup=0.0, probe=0.0)


class Playground:
    """One session of play in a lab."""

    def __init__(self, lab: Lab, parameters: PlayParameters, name: str, folder: Path) -> None:
        self._lab, self._parameters, self._name, self._folder = lab, parameters, name, folder
        self._processes: dict[str, Service] = {}
        self._faults: dict[int, tuple[Step, asyncio.Task[None]]] = {}
        self._over = asyncio.Event()
        self._online = self._numbered = 0
        self._history: HistoryWriter | None = None
        self._control: FaultControl | None = None
        self._edges: dict[str, str] = {}  # each with its protocol

    async def run(self, ready: Callable[[dict[str, Any]], None], watch: Watch) -> None:
        """From an empty namespace until `stop`; then every fault is healed and nothing is left but the history."""
        p, rng = self._parameters, Rng(self._parameters.seed).child("users")
        with (self._folder / "history.jsonl").open("w") as sink:
            self._history = history = HistoryWriter(sink=sink)
            async with (
                FaultControl(self._lab.proxy.url) as control,
                control.there(),
                platform(self._lab, control, self._name, p.seed, protocols=True) as at,
            ):
                self._control = control
                people = [account(rng, n, p.profile) for n in range(1, p.users + 1)]
                await tenants.seed(at.database_url, at.logs_url, rng, people, p.rows)
                told = await control.proxies(f"{self._name}/")
                self._edges = {e.removeprefix(f"{self._name}/"): p.get("protocol", "") for e, p in told.items()}
                self._processes = {**services(self._lab), **at.processes}
                ready({"edges": list(self._edges), "processes": list(self._processes)})
                settings = Settings(at.url, p.scaled(REQUEST_DEADLINE), p.scaled(RUN_LIMIT), p.time_scale)
                await self._play(settings, history, rng, at.workers, watch)

    async def inject(self, kind: str, target: str, stream: str, toxicity: float, attributes: dict[str, Any]) -> int:
        """The number of the fault, once it has struck; UnknownName or BadValue before anything happens."""
        history, control = self._running()
        step = Step(kind, target, 0.0, None, attributes, stream, toxicity)
        if step.on_process:
            step = replace(step, target=chosen(target, self._processes, self._parameters.seed, self._numbered))
            if not self._processes[step.target].owned:
                raise BadValue(field="target", value=target, allowed="a process that this lab started, not one by URL")
        elif target not in self._edges:
            raise UnknownName(what="edge", name=target, known=", ".join(self._edges))
        self._refuse_unread(step)
        self._refuse_twice(step)
        self._numbered += 1
        number, struck = self._numbered, asyncio.Event()
        nemesis = Nemesis(
            Plan([step], self._parameters.seed), control, self._processes, history, f"{self._name}/",
            label=f"hand-{number}-", struck=struck.set,
        )  # fmt: skip
        self._faults[number] = (step, asyncio.create_task(nemesis.run()))
        await self._until(struck, number)
        return number

    async def _until(self, struck: asyncio.Event, number: int) -> None:
        """Wait until the fault has struck; one that is over then, or went wrong, is no longer active."""
        step, life = self._faults[number]
        striking = asyncio.create_task(struck.wait())
        await asyncio.wait([life] if step.kind == "restart" else [life, striking], return_when=asyncio.FIRST_COMPLETED)
        striking.cancel()
        if life.done():
            self._faults.pop(number, None)
            if not life.cancelled():
                life.result()

    async def heal(self, number: int | None = None) -> list[int]:
        """End one fault or all; the numbers of those that were ended."""
        if number is not None and number not in self._faults:
            known = ", ".join(map(str, self._faults)) or "none"
            raise UnknownName(what="fault", name=str(number), known=known)
        chosen = list(self._faults) if number is None else [number]
        tasks = [self._faults.pop(n)[1] for n in chosen]
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        return chosen

    def faults(self) -> list[dict[str, Any]]:
        """Those that are active."""
        return [
            {"number": n, "kind": step.kind, "target": step.target, "attributes": dict(step.attributes)}
            for n, (step, _) in self._faults.items()
        ]

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._over.set()

    async def _play(
        self, settings: Settings, history: HistoryWriter, rng: Rng, workers: Mapping[str, str], watch: Watch
    ) -> None:
        p = self._parameters
        plan = arrivals(rng, p.users, p.window)
        told = {"users": p.users, "planned_arrivals": p.users}
        history.seen("run", "load_started", **told)
        try:
            async with asyncio.TaskGroup() as group:
                lives = [group.create_task(self._live(*one, settings, history, rng)) for one in plan]
                lives.append(group.create_task(ticking(history, lambda: self._online, watch)))
                lives.append(group.create_task(observe(workers, history)))
                await self._over.wait()
                await self.heal()
                for life in lives:
                    life.cancel()
        finally:
            await self.heal()
            history.seen("run", "load_ended", **told)

    async def _live(self, at: float, number: int, settings: Settings, history: HistoryWriter, rng: Rng) -> None:
        """One visit after the other."""
        p = self._parameters
        await history.clock.sleep(at)
        visit = 0
        while True:
            self._online += 1
            try:
                await Session(
                    persona(rng, number, p.profile, visit), settings, history, rng.child("visit", visit)
                ).run()
            finally:
                self._online -= 1
            visit += 1
            await history.clock.sleep(p.scaled(p.think))

    def _running(self) -> tuple[HistoryWriter, FaultControl]:
        if self._history is None or self._control is None or not self._edges or self._over.is_set():
            raise BadValue(field="play", value="inject", allowed="between the start and the stop of a session of play")
        return self._history, self._control

    def _refuse_unread(self, step: Step) -> None:
        """A fault on messages needs an edge on which they are understood."""
        made = KINDS.get(step.kind)
        if made is not None and issubclass(made, MessageKind) and self._edges[step.target] not in made.protocols:
            allowed = f"an edge that speaks {' or '.join(made.protocols)}"
            raise BadValue(field="target", value=step.target, allowed=allowed)

    def _refuse_twice(self, step: Step) -> None:
        """A process can be struck once at a time: what heals one blow would meet the other."""
        struck = {s.target for s, _ in self._faults.values() if s.on_process}
        if step.on_process and step.target in struck:
            raise BadValue(
                field="target", value=step.target, allowed="a process that is not struck already: heal it first"
            )
