"""Controls to play with, built only under JupyterLab: choose a target and a fault, inject, heal, watch."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from typing import Any

from netra_sim.faults.kinds import KINDS
from netra_sim.faults.plan import PROCESS_KINDS
from netra_sim.kernel.errors import NetraError
from netra_sim.reports import live
from netra_sim.scenarios.play import Play

ELSEWHERE = "The controls are built under JupyterLab: open this notebook with `nox -s lab`."
HIGHEST = 2000  # of a slider


def panel(play: Play) -> Any:
    """Widgets for a session of play; elsewhere a sentence that says how to get them."""
    if not live.wanted():
        return ELSEWHERE
    return _Panel(play).box


class _Panel:
    def __init__(self, play: Play) -> None:
        import ipywidgets as w

        self._play, self._widgets = play, w
        self._tasks: set[asyncio.Task[None]] = set()
        self._target = w.Dropdown(
            options=[*play.edges, *(f"process {p}" for p in play.processes)], description="target"
        )
        self._kind = w.Dropdown(description="fault")
        self._sliders = w.VBox()
        self._said, self._picture = w.HTML(), w.HTML()
        inject, heal = w.Button(description="Inject", button_style="danger"), w.Button(description="Heal all")
        self._target.observe(self._offer_kinds, "value")
        self._kind.observe(self._offer_attributes, "value")
        inject.on_click(lambda _: self._start(inject=True))
        heal.on_click(lambda _: self._start(inject=False))
        self._offer_kinds()
        left = w.VBox([self._target, self._kind, self._sliders, w.HBox([inject, heal]), self._said])
        self.box = w.HBox([left, self._picture])
        play.on_tick = self._draw

    def _offer_kinds(self, _change: Any = None) -> None:
        self._kind.options = PROCESS_KINDS if self._process else tuple(KINDS)
        self._offer_attributes()

    def _offer_attributes(self, _change: Any = None) -> None:
        of = KINDS.get(self._kind.value or "")
        names = [(f.name, f.default) for f in fields(of)] if of else []
        self._sliders.children = [
            self._widgets.IntSlider(value=default or 0, min=0, max=max(HIGHEST, default), description=name)
            for name, default in names
            if isinstance(default, int)
        ]

    @property
    def _process(self) -> bool:
        return str(self._target.value).startswith("process ")

    def _start(self, *, inject: bool) -> None:
        task = asyncio.ensure_future(self._inject() if inject else self._heal())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _inject(self) -> None:
        attributes = {slider.description: slider.value for slider in self._sliders.children}
        target = str(self._target.value).removeprefix("process ")
        try:
            number = await self._play.inject(self._kind.value, target, **attributes)
            self._said.value = f"fault {number}: {self._kind.value} on {target}"
        except NetraError as error:
            self._said.value = str(error)

    async def _heal(self) -> None:
        try:
            self._said.value = f"healed: {', '.join(map(str, await self._play.heal())) or 'nothing was active'}"
        except NetraError as error:
            self._said.value = str(error)

    def _draw(self, _tick: Any) -> None:
        self._picture.value = self._play.live.html()
