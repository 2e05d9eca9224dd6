"""What the lab host process does for its client: start a lab, run scenarios in it, stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from netra_sim.kernel.errors import BadValue
from netra_sim.lab.host import serve
from netra_sim.lab.lab import Lab
from netra_sim.scenarios import registry, runner

Emit = Callable[[dict[str, Any]], None]
Handler = Callable[[dict[str, Any], Emit], Awaitable[Any]]


class Methods:
    """One lab, and what a client may ask of it."""

    def __init__(self) -> None:
        self._lab: Lab | None = None

    def handlers(self) -> dict[str, Handler]:
        """By method name."""
        return {"start": self._start, "run": self._run}

    async def stop(self) -> None:
        """Stop the lab, if there is one."""
        if self._lab is not None:
            lab, self._lab = self._lab, None
            await lab.stop()

    async def _start(self, params: dict[str, Any], _emit: Emit) -> Any:
        self._lab = Lab(**params)
        await self._lab.start()
        return {"id": self._lab.id, "servers": self._lab.servers()}

    async def _run(self, params: dict[str, Any], emit: Emit) -> Any:
        if self._lab is None:
            raise RuntimeError("start comes before run")
        scenario = registry.find(params["scenario"])
        parameters = scenario.parameters.checked(params["parameters"])
        if parameters.time_scale != self._lab.time_scale:
            allowed = f"{self._lab.time_scale:g}, the one that this lab was started with"
            raise BadValue(field="time_scale", value=parameters.time_scale, allowed=allowed)
        folder = Path(params["folder"])

        def tell(trial: str, phase: str) -> None:
            emit({"scenario": scenario.name, "trial": trial, "phase": phase})

        await runner.run(self._lab, scenario, parameters, folder, tell)
        return {"folder": str(folder)}


def main() -> int:
    """Serve the client on the standard streams until it goes; exit code 0."""
    methods = Methods()
    return serve(methods.handlers(), methods.stop)
