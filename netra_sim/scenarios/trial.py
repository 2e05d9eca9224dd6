"""One trial: a namespace, edges, workers, load and faults, then what is left; its history is all it gives back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from netra_sim.faults.control import FaultControl
from netra_sim.faults.nemesis import Nemesis
from netra_sim.faults.plan import Plan
from netra_sim.faults.residue import residue
from netra_sim.faults.script import ScriptControl
from netra_sim.kernel.history import History, HistoryWriter
from netra_sim.kernel.rng import Rng
from netra_sim.lab.lab import Lab
from netra_sim.lab.service import Service
from netra_sim.scenarios.platform import Platform, edge_names, platform, services
from netra_sim.scenarios.scenario import Control, Parameters, Scenario
from netra_sim.scenarios.ticks import Watch, ticking
from netra_sim.scenarios.turns import AUDITING
from netra_sim.users import tenants, workload
from netra_sim.users.api import Settings
from netra_sim.users.auditor import audit, audit_streams, open_transactions, settled
from netra_sim.users.load import Life, arrivals, drive
from netra_sim.users.observer import observe
from netra_sim.users.persona import Account, Persona, persona
from netra_sim.users.session import Session

# Seconds before scaling. A user's patience is several times the deadline: what is held too long must be seen.
REQUEST_DEADLINE, RUN_LIMIT, SETTLE = 5.0, 30.0, 30.0
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """A scenario with one control or none, in a lab."""

    lab: Lab
    scenario: Scenario
    parameters: Parameters
    control: Control | None
    name: str
    folder: Path
    tell: Tell
    watch: Watch | None = None  # is told what happens during the load, twice a second

    async def run(self) -> History:
        """Everything from an empty namespace to a frozen history; nothing of the trial is left afterwards."""
        label = f"control-{self.control.name}" if self.control else "history"
        self.plan.save(self.folder / (f"{label}.plan.json" if self.control else "plan.json"))
        rng = Rng(self.parameters.seed).child("users")
        profile = self.scenario.profile(self.parameters)
        people = [persona(rng, n, profile) for n in range(1, self.parameters.users + 1)]
        with (self.folder / f"{label}.jsonl").open("w") as sink:
            history = HistoryWriter(sink=sink)
            self.tell("starting")
            async with (
                self._up(history),
                FaultControl(self.lab.proxy.url) as control,
                control.there(),
                ScriptControl(self.lab.llm_url, self.name) as model,
                self._platform(control, history) as at,
            ):
                known = [who.account for who in people if not who.signs_up]
                logs = await tenants.seed(at.database_url, at.logs_url, rng, known, self.parameters.rows)
                self.tell("load")
                await self._strike(at, control, model, history, people, logs)
                self.tell("settling")
                await settled(at.database_url, self.parameters.scaled(SETTLE))
                self.tell(AUDITING)
                await self._audit(at, control, model, history, people)
                for log in logs:
                    history.seen("auditor", "workload", **workload.facts(log))
            return history.freeze()

    @contextlib.asynccontextmanager
    async def _up(self, history: HistoryWriter) -> AsyncIterator[None]:
        """The lab, which a cold trial starts and stops itself."""
        if not self.scenario.cold:
            yield
            return
        await self.lab.start(history)
        try:
            yield
        finally:
            await self.lab.stop()

    def _platform(
        self, control: FaultControl, history: HistoryWriter
    ) -> contextlib.AbstractAsyncContextManager[Platform]:
        def started(what: str) -> contextlib.AbstractContextManager[None]:
            return history.op("lab", "start", what=what) if self.scenario.cold else contextlib.nullcontext()

        c = self.control
        without, defect = (c.without, c.defect) if c else ((), "")
        settings = {**self.scenario.settings(self.parameters), **(c.settings if c else {})}
        return platform(
            self.lab, control, self.name, self.parameters.seed, without=without, defect=defect,
            entrances=self.scenario.entrances, settings=settings, started=started,
            protocols=any(step.protocols for step in self.plan.steps),
        )  # fmt: skip

    async def _strike(
        self, at: Platform, control: FaultControl, model: ScriptControl, history: HistoryWriter, people: list[Persona],
        logs: list[workload.Log],
    ) -> None:  # fmt: skip
        """Load and faults side by side; the faults end with the load at the latest. Newcomers' logs join `logs`."""
        p, plan = self.parameters, self.plan
        nemesis = Nemesis(plan, control, self._killables(at), history, f"{self.name}/", model)
        self._tell_entrances(history, people)
        online = set[int]()
        life = self._lives(at, history, people, online, logs)
        async with asyncio.TaskGroup() as group:
            beside = [nemesis.run(), observe(at.workers, history)]
            if self.watch:
                beside.append(ticking(history, lambda: len(online), self.watch))
            tasks = [group.create_task(each) for each in beside]
            late = next((step.trigger.come(history) for step in plan.steps if step.trigger), None)
            coming = arrivals(Rng(p.seed).child("users"), p.users, p.window)
            await drive(coming, life, history, self.scenario.lasts(p), late)
            for task in tasks:
                task.cancel()  # what was not healed yet is healed now

    def _lives(
        self, at: Platform, history: HistoryWriter, people: list[Persona], online: set[int], logs: list[workload.Log]
    ) -> Life:
        """A user's life by his number; `online` holds those who live."""
        p = self.parameters
        settings = Settings(at.url, p.scaled(REQUEST_DEADLINE), p.scaled(RUN_LIMIT), p.time_scale)
        settings = replace(settings, **{**self.scenario.client(p), **(self.control.client if self.control else {})})
        rng = Rng(p.seed).child("users")

        async def bring(account: Account, user_id: str) -> None:
            logs.append(workload.log(rng, account, user_id, p.rows))
            await workload.load(at.logs_url, logs[-1:])

        brings = bring if self.scenario.profile(p).brings_log and at.logs_url else None

        async def life(number: int) -> None:
            online.add(number)
            try:
                entrance = replace(settings, base_url=at.entrance(number))
                await Session(people[number - 1], entrance, history, rng, brings).run()
            finally:
                online.discard(number)

        return life

    def _tell_entrances(self, history: HistoryWriter, people: list[Persona]) -> None:
        if self.scenario.entrances > 1:
            names = edge_names(self.scenario.entrances)
            of = {who.account.name: names[(who.account.number - 1) % len(names)] for who in people}
            history.seen("run", "entrances", of=of)

    @property
    def plan(self) -> Plan:
        """Its faults."""
        steps = (*self.scenario.plan(self.parameters), *(self.control.steps if self.control else ()))
        return Plan(steps, self.parameters.seed)

    def _killables(self, at: Platform) -> dict[str, Service]:
        return {**services(self.lab), **at.processes}

    async def _audit(
        self, at: Platform, control: FaultControl, model: ScriptControl, history: HistoryWriter, people: list[Persona]
    ) -> None:
        await audit(at.database_url, history, {who.account.email: who.account.canary for who in people})
        await audit_streams(self.lab.redis.url, f"{self.name}:", history)
        if self.lab.llm.owned:
            history.seen("auditor", "llm_calls", rows=await model.log())
        processes = self._killables(at)
        left = await residue(control, f"{self.name}/", processes)
        for process in processes.values():
            left += await process.altered()
        history.seen("auditor", "residue", left=[*left, *await open_transactions(at.database_url)])
