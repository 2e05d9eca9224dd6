"""A run's stored plan once more: the same faults on the same scenario, with the checks of today."""

from __future__ import annotations

import asyncio
from pathlib import Path

from netra_sim.kernel.errors import BadValue
from netra_sim.reports.result import FILE, Result
from netra_sim.scenarios.door import Lab

PLAN = "plan.json"


def of_run(path: Path) -> bool:
    """Whether it is a run's folder, or a plan in one; BadValue for a folder that holds no finished run."""
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and not (folder / FILE).is_file():
        raise BadValue(field="a run", value=str(folder), allowed=f"a folder that holds {FILE}")
    return (folder / FILE).is_file()


def replay(path: Path, times: int = 1) -> int:
    """Run the plan at the platform as it is, with the parameters of its run; exit code 1 when a verdict is not pass."""
    plan = path / PLAN if path.is_dir() else path
    return asyncio.run(_replay(Result.load(plan.parent), plan, times))


async def _replay(stored: Result, plan: Path, times: int) -> int:
    parameters, passed = stored.data["parameters"], 0
    async with Lab(seed=parameters["seed"], time_scale=parameters["time_scale"]) as lab:
        for _ in range(times):
            result = await lab.run(stored.scenario, plan=plan, **parameters)
            passed += result.verdict == "pass"
            print(f"\n{result!r}\n{result.folder}")
    return int(passed < times)
