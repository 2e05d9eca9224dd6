"""Runs: triage, the route its answer asks for, one answer to the user; every state change is in the journal."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from netra_sim.backend.agents.llm import BadAnswer, By, NoAnswer
from netra_sim.backend.agents.machine import TABLE, check
from netra_sim.backend.agents.schedule import Schedule
from netra_sim.backend.agents.specs import AGENTS, ROUTES
from netra_sim.backend.agents.step import Bench, Step, ToolFailed
from netra_sim.backend.chat.messages import Claimed, Entry, Event, Order, RunJournal
from netra_sim.backend.reliability.deadline import deadline
from netra_sim.backend.reliability.policy import Unavailable

log = logging.getLogger("netra.supervisor")
OpenJournal = Callable[[Order], RunJournal]
WORSE: tuple[By, ...] = ("primary", "fallback", "rule")
CLOSES = 3  # tries to write a run's end against writes that were still on their way


class Run:
    """One run from its message to its answer."""

    def __init__(self, order: Order, journal: RunJournal, bench: Bench, schedule: Schedule) -> None:
        self._order, self._journal, self._bench, self._schedule = order, journal, bench, schedule
        self._state = "pending"
        self._known: dict[str, Any] = {}
        self._failed: dict[str, str] = {}
        self._by: dict[str, By] = {}
        self._begun = time.monotonic()

    async def run(self) -> None:
        """Do the whole work; Claimed when another worker has it, Unavailable when it cannot even be recorded."""
        await self._move("starting", self._event("agent_started", status="started", message="Working on your question"))
        await self._move("running", self._thought(1, "Asking triage what the question needs", 5))
        await self._agent("triage")
        name = self._bench.route(self._known.get("triage", {}).get("completeness"))
        await self._journal.write(Entry([self._thought(2, f"Taking the {name} route", 20)], route=name))
        await self._schedule(ROUTES[name], self._agent)
        await self._move("completing", self._thought(3, "Summing up", 95))
        await self._finish(name)

    async def close(self, type_: str, state: str, reason: str) -> None:
        """End the run without an answer, and tell the user; goes by what was really committed."""
        for _ in range(CLOSES):
            self._state, unended = await self._journal.reload()
            if not TABLE[self._state]:
                return
            try:
                facts = {"status": state, "reason": reason, "execution_time_ms": self._took()}
                ends = [Event(type_, {"agent_name": agent, **facts}) for agent in (*unended, "supervisor")]
                await self._journal.write(Entry(ends, check(self._state, state)))
                return
            except Claimed:  # a write of ours that was cut off has been committed since the reload
                log.info("run moved while it was being closed", extra={"run": self._order.run_id})
        raise Claimed

    async def _finish(self, route: str) -> None:
        report = self._known.get("reporting")
        if report is None:
            await self.close("agent_error", "failed", self._failed.get("reporting", "No report was written."))
            return
        missing = self._missing()
        answer = {
            **self._known.get("optimization", {}),
            **report,
            "route": route,
            "partial": route != "sufficient" or bool(missing),
            "missing": missing,
            "by": max(self._by.values(), key=WORSE.index),
        }
        done = self._event("agent_completed", status="completed", result=answer, execution_time_ms=self._took())
        notice = f"\n\nThis answer is partial. Missing, or by rule only: {', '.join(missing)}." if missing else ""
        await self._move("completed", done, ("supervisor", answer), f"{report['summary']}{notice}")

    def _missing(self) -> list[str]:
        """The agents whose work is not in the answer, or is by rule only."""
        return sorted({*self._failed, *(name for name, by in self._by.items() if by == "rule")})

    async def _move(
        self, state: str, event: Event, checkpoint: tuple[str, dict[str, Any]] | None = None, text: str | None = None
    ) -> None:
        """One state change with the event that tells of it, in one commit."""
        await self._journal.write(Entry([event], check(self._state, state), checkpoint, text))
        self._state = state

    async def _agent(self, name: str) -> None:
        """Run one agent; its failure is told and named, and the others go on."""
        step = Step(AGENTS[name], self._order, self._journal, self._bench)
        missing = self._missing()
        try:
            self._known[name] = await step.run({**self._known, "missing": missing} if missing else self._known)
            self._by[name] = step.by
        except (Unavailable, NoAnswer, BadAnswer, ToolFailed) as error:
            if isinstance(error, Unavailable) and error.dependency == "postgres":
                raise
            self._failed[name] = _plain(error)
            event = step.event("agent_error", status="failed", reason=_plain(error), execution_time_ms=self._took())
            await self._journal.write(Entry([event]))

    def _thought(self, number: int, words: str, percent: int) -> Event:
        return self._event("agent_thinking", reasoning=words, step_number=number, progress_percentage=percent)

    def _event(self, type_: str, **data: Any) -> Event:
        return Event(type_, {"agent_name": "supervisor", **data})

    def _took(self) -> float:
        return round((time.monotonic() - self._begun) * 1000, 3)


class Supervisor:
    """The runs of this worker."""

    def __init__(self, journal: OpenJournal, bench: Bench, schedule: Schedule, limit: float, most: int) -> None:
        self._journal, self._bench, self._schedule = journal, bench, schedule
        self._limit, self._most = limit, most
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def under_way(self) -> int:
        """How many runs this worker has."""
        return len(self._tasks)

    def has_room(self) -> bool:
        """False when as many runs are under way as this worker may have."""
        return len(self._tasks) < self._most

    def start(self, order: Order) -> None:
        """Begin a run, unless this worker has it already."""
        self._begin(order, self._run)

    def bury(self, order: Order) -> None:
        """End a run whose worker has gone, unless this worker has it."""
        self._begin(order, self._bury)

    async def stop(self) -> None:
        """Cut off what still runs; the journal holds how far it came."""
        for task in tuple(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _begin(self, order: Order, work: Callable[[Order], Coroutine[Any, Any, None]]) -> None:
        if order.run_id not in self._tasks:
            # A context of its own: the deadline of the frame that started the run is not the run's.
            fresh = contextvars.Context()
            task = asyncio.create_task(work(order), name=f"run {order.run_id}", context=fresh)
            self._tasks[order.run_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(order.run_id, None))

    async def _bury(self, order: Order) -> None:
        run = Run(order, self._journal(order), self._bench, self._schedule)
        with deadline(self._limit):
            await self._end(run, order, "agent_death", "dead", "The worker that had it has gone.")

    async def _run(self, order: Order) -> None:
        run = Run(order, self._journal(order), self._bench, self._schedule)
        try:
            with deadline(self._limit):
                async with asyncio.timeout(self._limit):
                    await run.run()
        except Claimed:
            log.info("run is another worker's", extra={"run": order.run_id})
        except TimeoutError:
            await self._end(run, order, "agent_death", "timeout", "The run took longer than it may.")
        except Unavailable as error:
            await self._end(run, order, "agent_error", "failed", f"{error.dependency} was not available.")
        except Exception:
            log.exception("run failed", extra={"run": order.run_id})
            await self._end(run, order, "agent_error", "failed", "Something went wrong on our side.")

    async def _end(self, run: Run, order: Order, type_: str, state: str, reason: str) -> None:
        """Write the end, however long the store stays away: a run must not be left open."""
        try:
            await run.close(type_, state, reason)
        except Exception:
            log.exception("run could not be closed", extra={"run": order.run_id})


def _plain(error: Exception) -> str:
    if isinstance(error, ToolFailed):
        return f"A tool gave no data: {error}."
    if isinstance(error, NoAnswer):
        return "The language model gave no answer that can be used."
    return "The answer could not be used."
