"""One trial: a namespace, edges, workers, load and faults, then what is left; its history is all it gives back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netra_sim.faults.control import FaultControl
from netra_sim.faults.nemesis import Nemesis
from netra_sim.faults.plan import Plan
from netra_sim.faults.residue import residue
from netra_sim.kernel.clock import SystemClock
from netra_sim.kernel.history import History, HistoryWriter
from netra_sim.kernel.rng import Rng
from netra_sim.lab.lab import Lab
from netra_sim.scenarios.scenario import Control, Parameters, Scenario
from netra_sim.users import tenants
from netra_sim.users.api import Settings
from netra_sim.users.auditor import audit, settled
from netra_sim.users.load import arrivals, drive
from netra_sim.users.persona import Persona, persona
from netra_sim.users.session import Session

WORKERS = 2
REQUEST_DEADLINE, RUN_DEADLINE, SETTLE = 5.0, 30.0, 60.0  # seconds before scaling
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

    async def run(self) -> History:
        """Everything from an empty namespace to a frozen history; nothing of the trial is left afterwards."""
        label = f"control-{self.control.name}" if self.control else "history"
        with (self.folder / f"{label}.jsonl").open("w") as sink:
            history = HistoryWriter(SystemClock(), sink)
            people = self._people()
            self.tell("starting")
            async with self._namespace(people) as url, FaultControl(self.lab.proxy.url) as control:
                async with self._edges(control, url) as entrance:
                    self.tell("load")
                    await self._strike(control, history, people, entrance)
                    self.tell("settling")
                    await settled(url, self.parameters.scaled(SETTLE))
                    await self._audit(control, history, people, url)
            return history.freeze()

    def _people(self) -> list[Persona]:
        p, rng = self.parameters, Rng(self.parameters.seed).child("users")
        return [persona(rng, n, self.scenario.profile(p)) for n in range(1, p.users + 1)]

    @contextlib.asynccontextmanager
    async def _namespace(self, people: list[Persona]) -> AsyncIterator[str]:
        """A database of its own, with its tenants; dropped at the end, with its keys in Redis."""
        url = await self.lab.create_database(self.name)
        try:
            known = [who.account for who in people if not who.signs_up]
            await tenants.seed(url, Rng(self.parameters.seed).child("users"), known)
            yield url
        finally:
            await self.lab.drop_namespace(self.name)

    @contextlib.asynccontextmanager
    async def _edges(self, control: FaultControl, url: str) -> AsyncIterator[str]:
        """Every connection of this trial through the proxy: worker to store and model, user to worker."""
        async with contextlib.AsyncExitStack() as stack:
            urls = {}
            for service, target in {"postgres": url, "redis": self.lab.redis.url, "llm": self.lab.llm.url}.items():
                urls[service] = await self._edge(stack, control, service, target)
            ports = await asyncio.gather(*(self._worker(stack, n, urls) for n in range(1, WORKERS + 1)))
            upstream = ",".join(f"127.0.0.1:{port}" for port in ports)
            port = await control.create_proxy(f"{self.name}/edge", upstream)
            stack.push_async_callback(control.delete_proxy, f"{self.name}/edge")
            yield f"http://127.0.0.1:{port}"
