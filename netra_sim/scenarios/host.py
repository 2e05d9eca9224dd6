"""What the lab host process does for its client: start a lab, run scenarios in it, stop."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from netra_sim.faults.plan import Plan
from netra_sim.kernel.errors import BadValue
from netra_sim.lab.health import ailing
from netra_sim.lab.host import serve
from netra_sim.lab.lab import Lab
from netra_sim.scenarios import registry, runner
from netra_sim.scenarios.playground import Playground, PlayParameters
from netra_sim.scenarios.scenario import Parameters
from netra_sim.scenarios.ticks import Tick

Emit = Callable[[dict[str, Any]], None]
Handler = Callable[[dict[str, Any], Emit], Awaitable[Any]]
P = TypeVar("P", bound=Parameters)


class Methods:
    """One lab, and what a client may ask of it."""

    def __init__(self) -> None:
        self._lab: Lab | None = None
        self._playground: Playground | None = None

    def handlers(self) -> dict[str, Handler]:
        """By method name."""
        return {
            "start": self._start, "ailing": self._ailing, "run": self._run, "play": self._play,
            "inject": self._inject, "heal": self._heal, "faults": self._faults, "stop_play": self._stop_play,
        }  # fmt: skip

    async def stop(self) -> None:
        """Stop the lab, if there is one."""
        if self._lab is not None:
            lab, self._lab = self._lab, None
            await lab.stop()

    async def _start(self, params: dict[str, Any], _emit: Emit) -> Any:
        self._lab = Lab(**params)
        await self._lab.start()
        return {"id": self._lab.id, "servers": self._lab.servers()}

    async def _ailing(self, _params: dict[str, Any], _emit: Emit) -> Any:
        return [] if self._lab is None else await ailing(self._lab.services)

    async def _run(self, params: dict[str, Any], emit: Emit) -> Any:
        if self._lab is None:
            raise RuntimeError("start comes before run")
        scenario = registry.find(params["scenario"])
        if params.get("controls") is not None:
            scenario = replace(scenario, smoke=tuple(params["controls"]))  # the others are told as left out
        if params.get("plan") is not None:
            steps = Plan.from_json(params["plan"]).steps
            scenario = replace(scenario, plan=lambda _: tuple(steps))
        parameters = self._at_scale(scenario.parameters.checked(params["parameters"]))
        folder = Path(params["folder"])

        def tell(trial: str, phase: str) -> None:
            emit({"scenario": scenario.name, "trial": trial, "phase": phase})

        def watch(tick: Tick) -> None:
            emit({"scenario": scenario.name, "trial": "protected", "tick": tick})

        await runner.run(self._lab, scenario, parameters, folder, tell, watch if params.get("live") else None)
        return {"folder": str(folder)}

    async def _play(self, params: dict[str, Any], emit: Emit) -> Any:
        """Lasts until `stop_play`; the event "ready" says that faults can be injected, "tick" what happens."""
        if self._lab is None:
            raise RuntimeError("start comes before play")
        if self._playground is not None:
            raise BadValue(field="play", value="a second session", allowed="one session at a time: stop the other")
        parameters = self._at_scale(PlayParameters.checked(params["parameters"]))
        name = f"play_{secrets.token_hex(4)}"
        self._playground = Playground(self._lab, parameters, name, Path(params["folder"]))
        try:
            await self._playground.run(lambda what: emit({"ready": what}), lambda tick: emit({"tick": tick}))
        finally:
            self._playground = None

    async def _inject(self, params: dict[str, Any], _emit: Emit) -> Any:
        return await self._ground().inject(**params)

    async def _heal(self, params: dict[str, Any], _emit: Emit) -> Any:
        return await self._ground().heal(params.get("number"))

    async def _faults(self, _params: dict[str, Any], _emit: Emit) -> Any:
        return self._ground().faults()

    async def _stop_play(self, _params: dict[str, Any], _emit: Emit) -> Any:
        self._ground().stop()

    def _ground(self) -> Playground:
        if self._playground is None:
            raise BadValue(field="play", value="none", allowed="a session of play that is going on")
        return self._playground

    def _at_scale(self, parameters: P) -> P:
        """BadValue when the lab's servers were started for another time scale."""
        assert self._lab is not None
        if parameters.time_scale != self._lab.time_scale:
            allowed = f"{self._lab.time_scale:g}, the one that this lab was started with"
            raise BadValue(field="time_scale", value=parameters.time_scale, allowed=allowed)
        return parameters


def main() -> int:
    """Serve the client on the standard streams until it goes; exit code 0."""
    methods = Methods()
    return serve(methods.handlers(), methods.stop)
