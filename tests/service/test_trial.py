"""A whole trial in a lab of its own: a worker dies and comes back; the fault proxy dies, and the trial with it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from netra_sim.faults.plan import Plan, Step
from netra_sim.kernel.errors import FaultError
from netra_sim.lab.lab import Lab
from netra_sim.scenarios import registry
from netra_sim.scenarios.playground import Playground, PlayParameters
from netra_sim.scenarios.trial import Trial

pytestmark = pytest.mark.asyncio(loop_scope="session")
KILL = Step("kill", "worker", 0.0, 0.2, on={"f": "login", "phase": "ok"}, nth=2)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own() -> AsyncIterator[Lab]:
    async with Lab(settings={"NETRA_CLICKHOUSE": "off"}, time_scale=0.2) as running:
        yield running


def trial(lab: Lab, folder: Path, name: str, steps: tuple[Step, ...], **how: Any) -> Trial:
    scenario = replace(registry.find("golden/chat"), plan=lambda _: steps)
    parameters = scenario.parameters(users=4, window=0.2, time_scale=0.2, rows=100)
    return Trial(lab, scenario, parameters, None, name, folder, lambda _: None, **how)


async def test_a_worker_is_killed_after_the_second_login_and_comes_back(own: Lab, tmp_path: Path) -> None:
    history = await trial(own, tmp_path, "lost_worker", (KILL,)).run()
    (fault,) = history.faults()
    ends = sorted(op.end for op in history.ops("login") if op.outcome == "ok" and op.end is not None)
    assert fault.began is not None and fault.fired is not None and fault.healed is not None
    assert (fault.target in ("worker-1", "worker-2"), fault.hits) == (True, 1)
    assert ends[1] <= fault.began < fault.fired < fault.healed
    (residue,) = history.seen("residue")
    assert residue.value["left"] == []
    assert Plan.load(tmp_path / "plan.json") == Plan((KILL,), 7)


@pytest.mark.parametrize("steps", [(), (Step("latency", "redis", 0.0, None, {"latency": 1}),)], ids=["none", "one"])
async def test_when_the_proxy_dies_the_trial_fails_at_once_and_nothing_of_it_is_left(
    own: Lab, tmp_path: Path, steps: tuple[Step, ...]
) -> None:
    async with proxy_killed(own) as kill:
        await trial(own, tmp_path, "lost_proxy", steps, watch=kill).run()


async def test_when_the_proxy_dies_a_session_of_play_ends_at_once(own: Lab, tmp_path: Path) -> None:
    async with proxy_killed(own) as kill:
        parameters = PlayParameters(users=2, time_scale=0.2, rows=100)
        await Playground(own, parameters, "play_lost_proxy", tmp_path).run(lambda _: None, kill)


@contextlib.asynccontextmanager
async def proxy_killed(lab: Lab) -> AsyncIterator[Callable[[Any], None]]:
    """Within, whatever kills the proxy by the given call ends at once, says why, and leaves nothing."""
    killed: list[float] = []
    ports: set[int] = set()
    before = asyncio.all_tasks()

    def kill(_tick: Any) -> None:
        if not killed:
            proxy = psutil.Process(lab.proxy.pid)  # type: ignore[attr-defined]
            ports.update(c.laddr.port for c in proxy.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
            proxy.kill()
            killed.append(time.monotonic())

    with pytest.raises(FaultError, match=r"^The fault proxy has gone\.$"):
        yield kill
    assert time.monotonic() - killed[0] < 5  # of the 10 s and more that the users had
    assert asyncio.all_tasks() <= before
    assert len(ports) > len(("control", "edge"))
    assert not {c.raddr.port for c in psutil.Process().net_connections("tcp") if c.raddr} & ports
    assert not any("-worker-" in service.name for service in lab._workers if service.alive)
    await lab.proxy.restart()
