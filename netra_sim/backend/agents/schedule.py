"""Which agent runs when: as soon as those it waits for have ended, beside every other that is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from netra_sim.backend.agents.specs import Route
from netra_sim.backend.reliability.together import together

RunAgent = Callable[[str], Awaitable[None]]
Schedule = Callable[[Route, RunAgent], Awaitable[None]]


async def by_dependency(route: Route, run: RunAgent) -> None:
    """Run every agent of the route; independent ones side by side."""
    ended = {name: asyncio.Event() for name in route}

    async def when_ready(name: str, needs: tuple[str, ...]) -> None:
        for need in needs:
            await ended[need].wait()
        await run(name)
        ended[name].set()

    await together(*(when_ready(name, needs) for name, needs in route.items()))
