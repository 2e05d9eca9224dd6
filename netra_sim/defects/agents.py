"""Defects of runs and tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from netra_sim.backend.agents.schedule import RunAgent
from netra_sim.backend.agents.specs import Agent, Route
from netra_sim.backend.agents.sse import Call
from netra_sim.backend.agents.step import RunTool
from netra_sim.backend.chat.journal import Journal
from netra_sim.backend.chat.messages import Entry
from netra_sim.backend.parts import Parts
from netra_sim.backend.reliability.together import together
from netra_sim.backend.store.columns import Columns


def event_forgotten(parts: Parts) -> Parts:
    """The end of triage's tool is never told."""

    class Forgetful(Journal):
        async def write(self, entry: Entry) -> None:
            told = [e for e in entry.events if (e.type, e.data["agent_name"]) != ("tool_completed", "triage")]
            if told:
                await super().write(replace(entry, events=told))

    return replace(parts, journal=Forgetful)


def transition_skipped(parts: Parts) -> Parts:
    """The state `running` is never entered: runs go from starting to completing."""

    class Skipping(Journal):
        async def write(self, entry: Entry) -> None:
            changed = {("starting", "running"): None, ("running", "completing"): ("starting", "completing")}
            if entry.transition in changed:
                entry = replace(entry, transition=changed[entry.transition])
            await super().write(entry)

    return replace(parts, journal=Skipping)


def dependencies_ignored(parts: Parts) -> Parts:
    """Every agent of a route begins at once."""

    async def all_at_once(route: Route, run: RunAgent) -> None:
        async def one(name: str) -> None:
            await run(name)

        await together(*(one(name) for name in route))

    return replace(parts, schedule=all_at_once)


def steps_in_sequence(parts: Parts) -> Parts:
    """Nothing runs in parallel: one agent after the other, one tool after the other."""

    async def one_by_one(route: Route, run: RunAgent) -> None:
        for name in route:
            await run(name)

    async def calls_one_by_one(calls: Sequence[Call], run: RunTool) -> list[dict[str, Any]]:
        return [await run(call) for call in calls]

    return replace(parts, schedule=one_by_one, gather=calls_one_by_one)


def canary_leaked(parts: Parts) -> Parts:
    """The inventory tool forgets whose data it may read."""

    async def everybodys(columns: Columns, user_id: str) -> dict[str, Any]:
        own = await parts.tools["data_inventory"](columns, user_id)
        rows = await columns.rows("SELECT DISTINCT project FROM workload ORDER BY project")
        return {**own, "projects": [row["project"] for row in rows]}

    return replace(parts, tools={**parts.tools, "data_inventory": everybodys})


def price_table_stale(parts: Parts) -> Parts:
    """Savings are worked out with last year's prices, by which they were a third lower."""

    async def by_old_prices(store: Any, user_id: str) -> dict[str, Any]:
        now = await parts.tools["cheaper_route"](store, user_id)
        return {**now, "savings": now["savings"] * 2 / 3, "percent": now["percent"] * 2 / 3}

    return replace(parts, tools={**parts.tools, "cheaper_route": by_old_prices})


def schema_ignored(parts: Parts) -> Parts:
    """What the model writes is stored as it comes, with its raw text beside it."""

    def taken_as_it_comes(text: str, agent: Agent) -> dict[str, Any]:
        return {**orjson.loads(text), "raw": text}

    return replace(parts, check=taken_as_it_comes)


def one_route_for_all(parts: Parts) -> Parts:
    """Every run takes the route for insufficient data, however complete the data is."""
    return replace(parts, route=lambda completeness: "insufficient")


def answer_not_stored(parts: Parts) -> Parts:
    """The answer is shown to the user and not stored in his thread."""

    class Fleeting(Journal):
        async def write(self, entry: Entry) -> None:
            await super().write(replace(entry, answer=None))

    return replace(parts, journal=Fleeting)
