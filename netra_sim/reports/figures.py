"""Which figures a result has, drawn to SVG: those of the run, and one for each control that shows in the durations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from matplotlib.figure import Figure

from netra_sim.kernel.history import History
from netra_sim.reports import plots, svg
from netra_sim.reports.canvas import WIDE
from netra_sim.reports.frames import points, run_frame
from netra_sim.reports.result import Control, Result

CAPTIONS = {
    "latency": "How long each operation took. Colour and fill say how it ended, shape which operation it was; "
    "dashed lines are the limits.",
    "throughput": "The load that was applied (line) and what became of it (areas). "
    "Where the line runs above the areas, answers came later.",
    "sequence": "One run as the platform recorded it: who worked when, on what, and for how long.",
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure as SVG text with its name, caption and alternative text."""

    name: str
    caption: str
    alt: str
    svg: str


def draw(result: Result, width: float = WIDE, prefix: str = "f") -> list[Drawn]:
    """The run's figures; the sequence only where a run's events were recorded."""
    history = result.history
    figures = {"latency": plots.latency(history, width), "throughput": plots.throughput(history, width)}
    if run_frame(history):
        figures["sequence"] = plots.sequence(history, width=width)
    return [_drawn(name, CAPTIONS[name], figure, prefix) for name, figure in figures.items()]


def draw_control(result: Result, control: Control, width: float = WIDE, prefix: str = "c") -> Drawn | None:
    """The run beside its control, by the operation that the control hurt most; None when it hurt none visibly."""
    f = hurt(result.history, control.history)
    if f is None:
        return None
    figure = plots.compare(result.history, control.history, f, control.label, width)
    return _drawn(f"compare-{control.data['name']}", "The run and its control on the same axes.", figure, prefix)


def hurt(history: History, control: History) -> str | None:
    """The operation of which most more failed, went unanswered or overran its limit in the control; or None."""
    more = _bad(control)
    more.subtract(_bad(history))
    f, count = max(more.items(), key=lambda item: (item[1], item[0] == "chat"), default=("", 0))
    return f if count > 0 else None


def _bad(history: History) -> Counter[str]:
    late = Counter[str]()
    for p in points(history):
        late[p.f] += p.outcome != "ok" or (p.limit is not None and p.seconds > p.limit)
    return late


def _drawn(name: str, caption: str, figure: Figure, prefix: str) -> Drawn:
    return Drawn(name, caption, plots.figure_alt(figure), svg.render(figure, f"{prefix}{name[0]}"))
