"""Controls to play with, built only under JupyterLab: choose a target and a fault, inject, watch, heal, stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING, Any

from netra_sim.faults.kinds import ON_BYTES
from netra_sim.faults.plan import STREAMS
from netra_sim.faults.process import BLOWS, STORE_KINDS
from netra_sim.kernel.errors import NetraError
from netra_sim.reports import live
from netra_sim.reports.notebook import show
from netra_sim.scenarios.dials import DIALS
from netra_sim.scenarios.play import Play

if TYPE_CHECKING:
    from netra_sim.scenarios.door import Lab

ELSEWHERE = "The controls are built under JupyterLab: open this notebook with `nox -s lab`."
ALL = 0  # in place of a fault's number
WIDE = {"width": "330px"}
STYLE = {"description_width": "140px"}  # the longest: size_variation (bytes)


async def panel(lab: Lab, **parameters: Any) -> Any:
    """Begin a session of play (as `Lab.play`) and give its controls; elsewhere a sentence that says how to get them."""
    if not live.wanted():
        return ELSEWHERE
    return Panel(await lab.play(**parameters)).box


class Panel:
    """The controls of one session of play; `box` is the widget that holds them."""

    def __init__(self, play: Play) -> None:
        import ipywidgets as w

        self._play, self._widgets = play, w
        self._tasks: set[asyncio.Task[None]] = set()
        targets = [(edge, (edge, False)) for edge in play.edges]
        targets += [(f"{name}, the process", (name, True)) for name in play.processes]
        self._target, self._kind = self._choice("target", targets), self._choice("fault", list(ON_BYTES))
        self._stream = self._choice("direction", STREAMS[:2][::-1] + STREAMS[2:])
        self._sliders = w.VBox()
        self._active = self._choice("active", [("none", ALL)])
        self._said, self._picture = w.HTML(layout=WIDE), w.HTML(layout={"width": "720px"})
        self._buttons = w.HBox([
            self._button("Inject", "danger", self._inject), self._button("Heal", "success", self._heal),
            self._button("Stop", "", self._stop),
        ])  # fmt: skip
        self._target.observe(self._offer_kinds, "value")
        self._kind.observe(self._offer_attributes, "value")
        self._offer_kinds()
        left = [self._target, self._kind, self._stream, self._sliders, self._active, self._buttons, self._said]
        self.box = w.HBox([w.VBox(left), self._picture], layout={"flex_flow": "row wrap"})
        play.on_tick = self._draw

    def _choice(self, name: str, options: Any) -> Any:
        return self._widgets.Dropdown(options=options, description=name, style=STYLE, layout=WIDE)

    def _button(self, name: str, colour: str, act: Any) -> Any:
        button = self._widgets.Button(description=name, button_style=colour, layout={"width": "90px"})
        button.on_click(lambda _: self._start(act()))
        return button

    def _offer_kinds(self, _change: Any = None) -> None:
        """What can befall the chosen target."""
        name, process = self._target.value
        states = STORE_KINDS if name == "redis" else ()
        self._kind.options = [*BLOWS, *states] if process else list(ON_BYTES)
        self._offer_attributes()

    def _offer_attributes(self, _change: Any = None) -> None:
        kind, (_, process) = self._kind.value, self._target.value
        self._stream.layout.display = "none" if process else ""
        names = [] if process or kind not in ON_BYTES else [f.name for f in fields(ON_BYTES[kind])]
        self._sliders.children = [self._slider(kind, name) for name in names]

    def _slider(self, kind: str, name: str) -> Any:
        dial = DIALS[kind, name]
        return self._widgets.IntSlider(
            value=dial.usual, min=dial.low, max=dial.high, step=dial.step, description=f"{name} ({dial.unit})",
            description_tooltip=dial.note or None, style=STYLE, layout=WIDE,
        )  # fmt: skip

    def _start(self, work: Coroutine[Any, Any, str]) -> None:
        task = asyncio.ensure_future(self._tell(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, work: Coroutine[Any, Any, str]) -> None:
        """Do what a button asks for, and say what came of it."""
        try:
            said = await work
        except Exception as error:  # nobody awaits this task: whatever went wrong is told here
            said = str(error) if isinstance(error, NetraError) else f"{type(error).__name__}: {error}"
        self._said.value = escape(said)

    async def _inject(self) -> str:
        kind, (target, process) = self._kind.value, self._target.value
        names = [] if process else [field.name for field in fields(ON_BYTES[kind])]
        values = {name: slider.value for name, slider in zip(names, self._sliders.children, strict=True)}
        number = await self._play.inject(kind, target, stream=self._stream.value, **values)
        await self._list()
        return f"Fault {number} has struck: {kind} on {target}."

    async def _heal(self) -> str:
        healed = await self._play.heal(self._active.value or None)
        await self._list()
        return f"Healed: {', '.join(map(str, healed))}." if healed else "Nothing was active."

    async def _list(self) -> None:
        """What can be healed: all, or one of those that are active."""
        faults = [(f"{f['number']}: {f['kind']} on {f['target']}", f["number"]) for f in await self._play.faults()]
        self._active.options = [("all" if faults else "none", ALL), *faults]
        self._active.value = ALL

    async def _stop(self) -> str:
        """The users go home; in place of the ticks, everything that was recorded."""
        for button in self._buttons.children:
            button.disabled = True
        result = await self._play.stop()
        self._play.on_tick = None  # nor is a picture painted that is still due
        self._picture.value = show(result).latency().html
        return f"Stopped. The history is {result.folder / result.data['history']}"

    def _draw(self, _tick: Any) -> None:
        self._play.live.soon(self._paint)

    def _paint(self) -> None:
        if self._play.on_tick is not None:
            self._picture.value = self._play.live.html()
