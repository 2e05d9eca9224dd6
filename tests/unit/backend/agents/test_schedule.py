import asyncio
from collections import defaultdict

import pytest

from netra_sim.backend.agents.schedule import by_dependency
from netra_sim.backend.agents.specs import ROUTES, Route


class Stage:
    """Agents that end when they are told to."""

    def __init__(self) -> None:
        self.begun: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.may_end: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.order: list[str] = []

    async def run(self, name: str) -> None:
        self.order.append(name)
        self.begun[name].set()
        await self.may_end[name].wait()


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def begin(stage: Stage, route: Route) -> "asyncio.Task[None]":
    task = asyncio.create_task(by_dependency(route, stage.run))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_chain_runs_in_its_order(stage: Stage):
    route = ROUTES["sufficient"]
    task = await begin(stage, route)
    for number, name in enumerate(route, start=1):
        await stage.begun[name].wait()
        assert stage.order == list(route)[:number]
        stage.may_end[name].set()
    await task


async def test_independent_agents_run_side_by_side_and_the_last_one_opens_the_way(stage: Stage):
    task = await begin(stage, ROUTES["partial"])
    assert set(stage.order) == {"data", "data_helper"}
    stage.may_end["data_helper"].set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert "reporting" not in stage.order
    stage.may_end["data"].set()
    await stage.begun["reporting"].wait()
    stage.may_end["reporting"].set()
    await task


async def test_an_error_ends_the_others(stage: Stage):
    async def run(name: str) -> None:
        if name == "data":
            await stage.begun["data_helper"].wait()
            raise KeyError("data")
        await stage.run(name)

    with pytest.raises(KeyError, match="data"):
        await by_dependency(ROUTES["partial"], run)
    assert stage.order == ["data_helper"]
