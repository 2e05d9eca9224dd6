"""Which figures a result has, drawn to SVG: those of the run, and one for each control that shows in the durations."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from netra_sim.reports import plots, svg
from netra_sim.reports.balance import labels
from netra_sim.reports.bins import online
from netra_sim.reports.canvas import WIDE
from netra_sim.reports.crowd import users
from netra_sim.reports.frames import points, run_frame
from netra_sim.reports.pairs import Pair, Side
from netra_sim.reports.quantiles import MAIN, quantiles
from netra_sim.reports.result import Control, Result
from netra_sim.reports.states import states
from netra_sim.reports.waterfall import waterfall

# The platform's limits in seconds before scaling: a response's p99, the way from nothing to the first answer, its goal.
RESPONSE, COLD_START, COLD_GOAL = 15.0, 30.0, 5.0
CROWD, ASKED = 10, 20  # users online and questions from which durations over users are worth a figure
CAPTIONS = {
    "latency": "How long each operation took. Colour and fill say how it ended, shape which operation it was; "
    "dashed lines are the limits. Points that would lie on one another are drawn once.",
    "throughput": "The load that was applied (line) and what became of it (areas). "
    "Where the line runs above the areas, answers came later.",
    "quantiles": "The middle and the extremes of each operation, step by step. Percentiles are told only of 1,000 "
    "samples and more; below that the slowest, and how many took longer than the limit (of a chat: 15 s, scaled).",
    "states": "What each worker told of itself, looked at past the proxies: how far the platform had degraded, which "
    "dependencies it no longer called, and how much it had open.",
    "users": "Each question by how many users were online when it was asked; the line joins the medians. "
    "The limit is the platform's for a whole answer, 15 s, scaled.",
    "waterfall": "What was waited for between nothing running and the first answer: services, the first user's steps, "
    "the agents of his run.",
    "sequence": "One run as the platform recorded it: who worked when, on what, and for how long.",
}
COMPARED = (
    "Each mark is an operation: how far right, when it began; how high, how long its user waited. Crosses failed, "
    "white diamonds got no answer. Both parts have the same scales, and each has the faults of its own run shaded."
)
UNHURT = "What this control breaks does not show in waiting times; the checks above tell it."


Done = Mapping[str, tuple[str, str]]  # alternative text and SVG of figures that need not be drawn, by part
NONE_DONE: Done = {}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure as SVG text with its name, caption and alternative text."""

    name: str
    caption: str
    alt: str
    svg: str


def draw(result: Result, width: float = WIDE, done: Done = NONE_DONE) -> list[Drawn]:
    """The run's figures in the order of the page; those for which nothing was recorded are left out."""
    history = result.history
    chats = points(history, "chat")
    crowd = len(chats) >= ASKED and max(online(history, chats)) >= CROWD
    figures: dict[str, tuple[bool, Callable[[], Figure]]] = {
        "waterfall": (bool(history.ops("start")), lambda: waterfall_of(result, width)),
        "latency": (True, lambda: plots.latency(history, width)),
        "throughput": (True, lambda: plots.throughput(history, width)),
        "quantiles": (bool(history.ops(*MAIN)), lambda: quantiles_of(result, width=width)),
        "states": (bool(history.seen("gauges")), lambda: states(history, width)),
        "users": (crowd, lambda: users_of([result], width=width)),
        "sequence": (bool(run_frame(history)), lambda: plots.sequence(history, width=width)),
    }
    return [
        _drawn(name, f"figure-{name}", CAPTIONS[name], figure, width, done)
        for name, (recorded, figure) in figures.items()
        if recorded
    ]


def prefix(part: str, width: float = WIDE) -> str:
    """What ids in a figure's SVG begin with: no other figure of a page has the same."""
    return f"{'w' if width == WIDE else 'n'}{zlib.crc32(part.encode()):08x}-"


def quantiles_of(result: Result, names: Sequence[str] = (), width: float = WIDE) -> Figure:
    """Durations over time of a result, against its scaled limits."""
    return quantiles(result.history, {"chat": scaled(result, RESPONSE)}, names, width)


def waterfall_of(result: Result, width: float = WIDE) -> Figure:
    """The way to a result's first answer, against the scaled limit and goal of a cold start."""
    return waterfall(result.history, scaled(result, COLD_START), scaled(result, COLD_GOAL), width)


def users_of(results: Sequence[Result], f: str = "chat", width: float = WIDE) -> Figure:
    """Users online against durations of one result or several, each named by its users; BadValue for more than five."""
    limit = scaled(results[0], RESPONSE) if f == "chat" else None
    return users([(_size(result), result.history) for result in results], f, limit, width)


def scaled(result: Result, seconds: float) -> float:
    """A limit of the platform at the result's time scale."""
    return seconds * float(result.data["time_scale"])


def _size(result: Result) -> str:
    return f"{result.data['parameters'].get('users', '?')} users, seed {result.data['seed']}"


def draw_control(pair: Pair, control: Control, width: float = WIDE, done: Done = NONE_DONE) -> Drawn | None:
    """The run beside its control, by the operation that the control hurt most; None when no operation is in either."""
    f = hurt(pair)
    name = f or main(pair)
    if name is None:
        return None
    caption, part = COMPARED if f else f"{COMPARED} {UNHURT}", f"compare-{control.data['name']}"
    return _drawn(part, part, caption, lambda: plots.compare(pair, name, labels(control.data), width), width, done)


def hurt(pair: Pair) -> str | None:
    """The operation of which most more failed, went unanswered, overran its limit or were never begun; or None.

    Signing in is not it where the control had less of the machine: that alone makes it fail at the start.
    """
    more = _bad(pair.control)
    more.subtract(_bad(pair.protected))
    for f in ("login", "signup") if pair.slower is pair.control else ():
        del more[f]
    more["chat"] += len(pair.protected.of("chat").keys() - pair.control.of("chat").keys())
    f, count = max(more.items(), key=lambda item: (item[1], item[0] == "chat"), default=("", 0))
    return f if count > 0 else None


def main(pair: Pair) -> str | None:
    """The operation to show where none was hurt: questions, else the most frequent one."""
    used = Counter(p.f for side in (pair.protected, pair.control) for p in side.points)
    return "chat" if used["chat"] else max(used, key=used.__getitem__, default=None)


def _bad(side: Side) -> Counter[str]:
    late = Counter[str]()
    for p in side.points:
        late[p.f] += p.outcome != "ok" or (p.limit is not None and p.seconds > p.limit)
    return late


def _drawn(name: str, part: str, caption: str, figure: Callable[[], Figure], width: float, done: Done) -> Drawn:
    if part in done:
        return Drawn(name, caption, *done[part])
    made = figure()
    return Drawn(name, caption, plots.figure_alt(made), svg.render(made, prefix(part, width)))
