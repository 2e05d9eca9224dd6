"""A lane: one namespace with its own workers and edges, in which one flow runs at a time, again and again.

Since nothing else happens in its namespace, whatever passes its edges is the flow's or a background loop's. So a
statement that carries no value of its user, such as COMMIT, is found all the same, and several lanes run at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from netra_sim.faults.control import FaultControl
from netra_sim.faults.residue import residue
from netra_sim.kernel.history import History, HistoryWriter
from netra_sim.kernel.rng import Rng
from netra_sim.lab.lab import Lab
from netra_sim.lab.stores import delete_keys
from netra_sim.scenarios.explore.cells import Cell
from netra_sim.scenarios.explore.flow import Flow, HeldClock, Scene
from netra_sim.scenarios.explore.inject import toxic
from netra_sim.scenarios.platform import Platform, platform
from netra_sim.scenarios.trial import REQUEST_DEADLINE, RUN_LIMIT
from netra_sim.users.api import Settings
from netra_sim.users.auditor import ACTOR, UNDER_WAY, audit, open_transactions
from netra_sim.users.persona import Account

LIMIT, CALM, CLOSES, POLL_S = 300.0, 100.0, 5.0, 0.02  # seconds; all but the last before scaling
TWICE = 2  # looks at which all was calm
_TABLES = "users, threads, messages, runs, run_transitions, checkpoints, events, sessions, refresh_tokens"
_CUT_OFF = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()
"""
_ACCOUNT = """
SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM sessions) AS sessions,
       (SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL) AS revoked,
       (SELECT count(*) FROM refresh_tokens) AS tokens
"""


@dataclass(frozen=True)
class Run:
    """One run of a flow: its history, how often each cell of its plan struck, how long it took in all."""

    history: History
    hits: tuple[int, ...] = ()
    seconds: float = 0.0
    clean: bool = True  # whether the lane can be used again


@dataclass
class Lane:
    """One namespace; `run` is for one at a time."""

    lab: Lab
    control: FaultControl
    name: str
    at: Platform
    rng: Rng
    database: Any
    http: Any
    _count: int = field(default=0)

    async def run(
        self, flow: Flow, plan: Sequence[Cell] = (), begin: Callable[[], Awaitable[None]] | None = None
    ) -> Run:
        """Run the flow with the plan's faults set from its `strike` on; `begin` is called there too.

        Afterwards nothing of it is left: no toxic, no user, no row.
        """
        clock, began = HeldClock(), time.monotonic()
        history = HistoryWriter(clock)
        names = [f"cell-{n}" for n in range(len(plan))]
        history.seen("run", "plan", cells=[cell.id for cell in plan], lasting=any(c.fault == "refuse" for c in plan))

        async def strike() -> None:
            for cell, name in zip(plan, names, strict=True):
                await self.control.add_toxic(self._edge(cell), toxic(cell, name, self._past))
            if begin is not None:
                await begin()

        hits: list[int] = []
        scene = self._scene(history, clock, strike)
        try:
            await self._act(flow, scene, history)
        finally:
            for cell, name in zip(plan, names, strict=True):
                found = await self.control.toxic(self._edge(cell), name)
                hits.append(int(found["hits"]) if found else 0)
                await self.control.remove_toxic(self._edge(cell), name)
        left = await self._settle(history, flow, scene.account)
        clean = not left and not await self._shut()
        await self._clean()
        return Run(history.freeze(), tuple(hits), time.monotonic() - began, clean)

    async def record(self, act: Callable[[], Awaitable[Any]]) -> list[tuple[str, dict[str, Any]]]:
        """What passed the edges during `act`, as (edge, message) in the order of time."""
        edges = list(await self.control.proxies(f"{self.name}/"))
        try:
            await act()
        finally:
            told = {edge: await self.control.recorded(edge) for edge in edges}
        messages = [(edge.removeprefix(f"{self.name}/"), m) for edge, found in told.items() for m in found]
        return sorted(messages, key=lambda one: int(one[1]["t"]))

    async def listen(self) -> None:
        """Begin to record every edge."""
        for edge in await self.control.proxies(f"{self.name}/"):
            await self.control.record(edge)

    @property
    def _past(self) -> int:
        """Milliseconds that are past a request's deadline."""
        return round(2000 * REQUEST_DEADLINE * self.lab.time_scale)

    def _edge(self, cell: Cell) -> str:
        return f"{self.name}/{cell.exchange.edge}"

    def _scene(self, history: HistoryWriter, clock: HeldClock, strike: Callable[[], Awaitable[None]]) -> Scene:
        self._count += 1
        rng = self.rng.child("run", self._count)
        own = rng.stream("account")
        email = f"{self.name}-{self._count}@example.test"
        account = Account(self._count, email, "Pass-for-all", f"canary-{own.getrandbits(32):08x}", "full")
        scale = self.lab.time_scale
        settings = Settings(self.at.url, REQUEST_DEADLINE * scale, RUN_LIMIT * scale, scale)
        ids = (str(uuid.uuid4()), str(uuid.uuid4()))
        return Scene(account, settings, history, clock, rng, self.at.database_url, self.at.logs_url, ids, strike)

    async def _act(self, flow: Flow, scene: Scene, history: HistoryWriter) -> None:
        seconds = LIMIT * self.lab.time_scale
        try:
            async with asyncio.timeout(seconds):
                await flow(scene)
        except TimeoutError:
            history.seen("run", "not_over", seconds=seconds)

    async def _settle(self, history: HistoryWriter, flow: Flow, account: Account) -> list[str]:
        """Wait until workers are as before: no run, no socket, no connection in use; audit; then at level normal.

        A breaker closes when its dependency is used again: the workers are asked for their health, and where that is
        not enough the flow is run without a fault. What is left after all that is told.
        """
        within = CALM * self.lab.time_scale
        end = time.monotonic() + within
        left = await self._uncalm(within, levels=False)
        await self._audit(history, account)
        left = left or await self._uncalm(CLOSES * self.lab.time_scale)
        while left and time.monotonic() < end:
            await self._act(flow, self._scene(HistoryWriter(), HeldClock(), _nothing), HistoryWriter())
            left = await self._uncalm(CLOSES * self.lab.time_scale)
        history.seen(ACTOR, "calm", left=left, within_s=within)
        return left

    async def _uncalm(self, within: float, *, levels: bool = True) -> list[str]:
        end, calm = time.monotonic() + within, 0
        while True:
            left = [what for name, url in self.at.workers.items() for what in await self._odd(name, url, levels)]
            left += [f"{n} runs under way" for n in [await self.database.fetchval(UNDER_WAY)] if n]
            calm = 0 if left else calm + 1
            if calm == TWICE or time.monotonic() > end:  # what a healed fault let go may be on its way to a worker
                return left
            await asyncio.sleep(POLL_S)  # workers tell their state when they are asked

    async def _odd(self, name: str, url: str, levels: bool) -> list[str]:
        state = await self._state(url)
        gauges = {"connections in use": state["pool"]["used"], "sockets": state["sockets"], "runs": state["runs"]}
        odd = [f"{name}: {n} {what}" for what, n in gauges.items() if n]
        if not levels or state["level"] == "normal":
            return odd
        await self.http.get(f"{url}/health")
        shut = ", ".join(f"{what} {how}" for what, how in state["breakers"].items() if how != "closed")
        return [*odd, f"{name}: {state['level']}: breaker of {shut}"]

    async def _shut(self) -> bool:
        """Whether a breaker is not closed, since nobody has asked what is behind it: the next run would begin so."""
        states = [await self._state(url) for url in self.at.workers.values()]
        return any(how != "closed" for state in states for how in state["breakers"].values())

    async def _state(self, url: str) -> dict[str, Any]:
        return dict((await self.http.get(f"{url}/health/state")).json())

    async def _audit(self, history: HistoryWriter, account: Account) -> None:
        history.seen(ACTOR, "account", **dict(await self.database.fetchrow(_ACCOUNT)))
        await audit(self.at.database_url, history, {account.email: account.canary})
        left = await residue(self.control, f"{self.name}/", {})
        history.seen(ACTOR, "residue", left=[*left, *await open_transactions(self.at.database_url)])

    async def _clean(self) -> None:
        await self.database.fetch(_CUT_OFF)
        await self.database.execute(f"TRUNCATE {_TABLES} CASCADE")
        await delete_keys(self.lab.redis.url, f"{self.name}:")


@contextlib.asynccontextmanager
async def lane(lab: Lab, control: FaultControl, name: str, seed: int, defect: str = "") -> AsyncIterator[Lane]:
    """Open a lane; its workers have the planted defect, if one is named."""
    import asyncpg
    import httpx

    async with platform(lab, control, name, seed, defect=defect) as at:
        database = await asyncpg.connect(at.database_url)
        try:
            kept = httpx.Limits(keepalive_expiry=2.0)  # less than a worker keeps what is idle
            async with httpx.AsyncClient(trust_env=False, timeout=10.0, limits=kept) as http:
                yield Lane(lab, control, name, at, Rng(seed).child(name), database, http)
        finally:
            await database.close()


async def _nothing() -> None:
    """No fault is set."""
