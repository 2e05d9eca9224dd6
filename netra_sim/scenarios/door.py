"""The front door: what a notebook calls. It checks what it is given before anything starts."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from netra_sim.faults.plan import Plan
from netra_sim.kernel.errors import UnknownName
from netra_sim.lab.client import HostClient
from netra_sim.lab.settings import SEED, TIME_SCALE
from netra_sim.reports import live
from netra_sim.reports.result import Result
from netra_sim.scenarios import registry
from netra_sim.scenarios.play import Play
from netra_sim.scenarios.playground import PlayParameters
from netra_sim.scenarios.scenario import Parameters, Scenario


class Lab:
    """A lab that serves several runs; `async with Lab() as lab` starts and stops it."""

    def __init__(self, *, seed: int = SEED, time_scale: float = TIME_SCALE) -> None:
        self._settings = {"seed": seed, "time_scale": time_scale}
        self._client = HostClient()

    async def open(self) -> Self:
        """Start it, for cells that share a lab; where it fits, `async with` is safer."""
        try:
            await self._client.start_lab(self._settings)
        except BaseException:
            await self._client.close()
            raise
        return self

    async def close(self) -> None:
        """End everything of it; the end of this process does so too."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(
        self, scenario: str, *, controls: Sequence[str] | None = None, plan: str | Path = "", **parameters: Any
    ) -> Result:
        """Run a scenario with its controls; UnknownName or BadValue before anything happens.

        With `controls`, only those of these names; with `plan`, a file, its faults in place of the scenario's, by its
        seed unless one is given, and no controls: looks that prove no line, so they are kept out of the report.
        """
        spec, given = registry.find(scenario), Plan.load(Path(plan)) if plan else None
        seed = {"seed": given.seed} if given else {}
        checked = spec.parameters.checked({**self._settings, **seed, **parameters})
        if controls is None and given is None:
            return await self._run(spec, checked, _folder(spec, checked))
        known = [control.name for control in spec.controls(checked)]
        for name in controls or ():
            if name not in known:
                raise UnknownName(what=f"control of {scenario}", name=name, known=", ".join(known))
        checked = checked.model_copy(update={"all_controls": False})
        folder = new_folder(project() / "plays", spec.name, checked.seed)
        return await self._run(spec, checked, folder, list(controls or ()), given)

    async def play(self, **parameters: Any) -> Play:
        """Put the platform under a steady load to try faults on by hand; UnknownName or BadValue before it starts."""
        checked = PlayParameters.checked({**self._settings, **parameters})
        folder = new_folder(project() / "plays", "by-hand", checked.seed)
        _make(folder)
        return await Play.start(self._client, checked.model_dump(mode="json"), folder)

    async def _run(
        self,
        spec: Scenario,
        parameters: Parameters,
        folder: Path,
        controls: Sequence[str] | None = None,
        plan: Plan | None = None,
    ) -> Result:
        _make(folder)
        asked = {
            "scenario": spec.name,
            "parameters": parameters.model_dump(mode="json"),
            "folder": str(folder),
            "live": live.wanted(),
            "controls": controls,
            "plan": plan and plan.to_json(),
        }
        await self._client.call("run", asked, on_event=live.Live().shown() if live.wanted() else _progress)
        return Result.load(folder / "result.json")


async def run(scenario: str, **parameters: Any) -> Result:
    """Start a lab, run one scenario with its controls in it, stop the lab."""
    spec = registry.find(scenario)
    checked = spec.parameters.checked(parameters)
    async with Lab(seed=checked.seed, time_scale=checked.time_scale) as lab:
        return await lab._run(spec, checked, _folder(spec, checked))


def scenarios() -> dict[str, str]:
    """Name and title of every scenario."""
    return {name: spec.title for name, spec in registry.scenarios().items()}


def project() -> Path:
    """Where runs and reports go: the checkout that holds the notebooks, else the working directory."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "noxfile.py").exists()), here)


def _folder(spec: Scenario, parameters: Parameters) -> Path:
    """Of this run: the one that a sweep has named, else a new one by time and seed."""
    if named := os.environ.get("NETRA_RUN_FOLDER"):
        return Path(named)
    return new_folder(project() / "runs", spec.name, parameters.seed)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def new_folder(runs: Path, scenario: str, seed: int) -> Path:
    """`runs/<scenario>/<time>-seed<n>`; the time is UTC to the microsecond: names sort by age and differ."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%f")
    return runs / scenario / f"{stamp}Z-seed{seed}"


def _progress(event: dict[str, Any]) -> None:
    """A line for whoever watches: the sweep's file, or the cell."""
    if path := os.environ.get("NETRA_PROGRESS"):
        with open(path, "a") as out:
            out.write(json.dumps(event) + "\n")
    else:
        print(f"{event['scenario']}: {event['trial']}: {event['phase']}", end="\r", flush=True)
