"""Python servers of the lab: they take a port, announce on one line of JSON that they are ready, and end on SIGTERM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netra_sim.lab import ports
from netra_sim.lab.forked import Nursery
from netra_sim.lab.service import Owned
from netra_sim.lab.spawn import Command, Process, environment

PATIENCE = 20.0  # seconds to be ready
PORT = "{port}"  # in a command or a variable: the port that the server shall take


@dataclass(frozen=True, slots=True)
class Child:
    """What to start: `{port}` as an argument or a variable's value is the port; `path` ends the server's URL.

    `clock` is the variable that makes its clock wrong by so many seconds, where it has one.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    clock: str = ""


class Server(Owned):
    """A running `Child`, forked by a nursery if there is one; its port stays the same when it is started again."""

    def __init__(self, child: Child, directory: Path, nursery: Nursery | None = None) -> None:
        super().__init__(child.name, directory)
        self._child, self._nursery = child, nursery
        self._offset = 0.0  # seconds

    @property
    def url(self) -> str:
        """Where it answers, with no proxy between."""
        return f"http://{ports.LOOPBACK}:{self.port}{self._child.path}"

    async def offset_clock(self, seconds: float) -> None:
        """Start it again, in order, with a clock that is wrong by so much; LabError where it has none."""
        if not self._child.clock:
            await super().offset_clock(seconds)
        self._offset = seconds
        await self.restart()

    async def altered(self) -> list[dict[str, Any]]:
        """What is still limited, and whether its clock is wrong."""
        wrong = [{"what": "wrong clock", "name": self.name}] if self._offset else []
        return [*await super().altered(), *wrong]

    async def _spawn(self, port: int) -> Process:
        def filled(text: str) -> str:
            return str(port) if text == PORT else text

        clock = {self._child.clock: str(self._offset)} if self._offset else {}
        command = Command(
            name=self.name,
            argv=tuple(map(filled, self._child.command)),
            cwd=self.directory,
            log=self.logfile,
            env=environment({**{k: filled(v) for k, v in self._child.env.items()}, **clock}),
            announces=True,
        )
        return Process(command) if self._nursery is None else await self._nursery.fork(command)

    async def _ready(self, process: Process, port: int) -> int:
        told = await process.ready(PATIENCE)
        self.version = str(told.get("version", "built in"))
        return int(told["port"])
