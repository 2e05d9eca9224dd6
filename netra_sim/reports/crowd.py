"""How many users were online against how long an answer took, for one run or for several of different size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.history import History
from netra_sim.reports import bins, frames
from netra_sim.reports.alt import empty
from netra_sim.reports.bins import LINEAR, Bin
from netra_sim.reports.canvas import NARROW, WIDE, Layout, build, duration, style
from netra_sim.reports.frames import Point
from netra_sim.reports.quantiles import told
from netra_sim.reports.scatter import draw_limits, log_axis, thin
from netra_sim.reports.svg import INK, PAPER

# Of one run each: light for its points, dark for its medians, and a shape, so that print keeps the runs apart.
_LOOKS = (
    ("#9ecfee", "#00466e", "o"),
    ("#f0b48a", "#8a3c00", "s"),
    ("#8fd3b9", "#00543d", "D"),
    ("#e3b5cf", "#7a2e5a", "^"),
    ("#ecd87a", "#5c4a00", "v"),
)
_TAIL: dict[str, Any] = {
    "marker": "_", "markersize": 9, "markeredgewidth": 1.6, "linestyle": (0, (1.5, 1)), "linewidth": 1.0,
}  # fmt: skip
_HIGH, _POINTS = 2.7, 1500


@dataclass(frozen=True, slots=True)
class _Run:
    """A run's operations, the users online at each, and the medians over these."""

    name: str
    found: list[Point]
    users: list[int]
    kept: list[bool]
    look: tuple[str, str, str]

    @property
    def samples(self) -> list[Point]:
        return [p for p, keep in zip(self.found, self.kept, strict=True) if keep]

    def binned(self, most: int) -> list[Bin]:
        users = [n for n, keep in zip(self.users, self.kept, strict=True) if keep]
        return bins.over_users(users, self.samples, most)


def users(
    runs: Sequence[tuple[str, History]], f: str = "chat", limit: float | None = None, width: float = WIDE
) -> Figure:
    """The operations `f` of up to five runs, each with a name for the legend, and their medians by users online.

    `limit` (seconds) holds for operations that carry no deadline of their own; a p95 is drawn where a bin has 1,000
    samples. BadValue for more runs.
    """
    if len(runs) > len(_LOOKS):
        raise BadValue(field="runs in one figure", value=len(runs), allowed=f"at most {len(_LOOKS)}")
    given = [_run(name, history, f, limit, look) for (name, history), look in zip(runs, _LOOKS, strict=False)]
    drawn = [run for run in given if run.found]
    with style():
        if not drawn:
            return empty(width, f"No {frames.op_name(f)} to draw against users online")
        most = max(max(run.users) for run in drawn)
        limits = sorted({p.limit for run in drawn for p in run.found if p.limit is not None})
        lined = {at: [frames.op_name(f)] for at in limits} if len(limits) <= 4 else {}
        told_ = [f"{run.name}: {_told(run)}." for run in drawn]
        log = most > LINEAR
        xlim = (0.8, most * 1.25) if log else (0.0, most + max(1.0, most * 0.04))
        right = 0.18 if not lined else 1.1 if width > NARROW else 0.74
        binned = [run.binned(most) for run in drawn]
        heading = f"Users online and time to answer: {frames.op_name(f)}"
        layout = Layout(width, heading, (_HIGH,), xlim, (), (_keys(drawn, binned),), ("\n".join(told_),), right)
        figure, (ax,) = build(layout)
        ends = log_axis(ax, [p.seconds for run in drawn for p in run.found] + list(lined))
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if log:
            _log_users(ax, xlim, (1, 2, 5) if width > NARROW else (1,))
        for run in drawn:
            _points(ax, run, layout)
        for run, each in zip(drawn, binned, strict=True):
            _medians(ax, run, each)
        draw_limits(ax, lined, ends, named=width > NARROW)
        ax.set_xlabel("users online when it was asked", loc="right", labelpad=3, fontsize="small")
    medians = "; ".join(f"{run.name}: {_alt(each)}" for run, each in zip(drawn, binned, strict=True))
    figure.set_label(
        f"Scatter plot, durations logarithmic, over users online. {' '.join(told_)} Medians by users online: {medians}."
    )
    return figure


def _run(name: str, history: History, f: str, limit: float | None, look: tuple[str, str, str]) -> _Run:
    found = [p for p in bins.judged(history, f, limit) if not p.abandoned]
    samples = {id(p) for p in bins.samples(found)}
    return _Run(name, found, bins.online(history, found), [id(p) in samples for p in found], look)


def _told(run: _Run) -> str:
    limits = {p.limit for p in run.found if p.limit is not None}
    apart = len(run.found) - len(run.samples)
    return told(bins.spread(run.samples), limits) + (f"; {apart:,} failed or unanswered apart" if apart else "")


def _points(ax: Axes, run: _Run, layout: Layout) -> None:
    light, dark, shape = run.look
    size = ((layout.width - layout.left - layout.right) * 72, _HIGH * 72)
    for keep in (True, False):
        places = [
            (float(n), max(p.seconds, 1e-4))
            for p, n, kept in zip(run.found, run.users, run.kept, strict=True)
            if kept is keep
        ]
        chosen = thin(places, ax, size, _POINTS // 2)
        look: dict[str, Any] = {"markeredgecolor": dark, "markeredgewidth": 0.35, "markerfacecolor": light}
        if not keep:
            look |= {"marker": "x", "markeredgewidth": 0.9, "alpha": 1.0}
        ax.plot(
            [x for x, _ in chosen], [y for _, y in chosen],
            **{"marker": shape, "linestyle": "none", "markersize": 3.0, "alpha": 0.6, "zorder": 2, **look},
        )  # fmt: skip


def _medians(ax: Axes, run: _Run, binned: Sequence[Bin]) -> None:
    _, dark, shape = run.look
    log = ax.get_xscale() == "log"
    found = [(_middle(each, log), each.spread) for each in binned if each.spread]
    at, medians = [x for x, _ in found], [s.median for _, s in found]
    ax.plot(at, medians, color=PAPER, linewidth=3.4, zorder=4)
    ax.plot(at, medians, shape, markersize=5.5, markerfacecolor=dark, markeredgecolor=PAPER, markeredgewidth=0.7,
            linestyle="-", color=dark, linewidth=1.5, zorder=5)  # fmt: skip
    tails = [(x, s.p95) for x, s in found if s.p95 is not None]
    ax.plot([x for x, _ in tails], [y for _, y in tails], color=dark, **_TAIL, zorder=5)


def _middle(each: Bin, log: bool) -> float:
    """A bin's middle on the axis; one user wide bins stand at their number."""
    last = each.end - 1
    return float((each.start * last) ** 0.5) if log else (each.start + last) / 2


def _log_users(ax: Axes, xlim: tuple[float, float], marks: Sequence[int]) -> None:
    ax.set_xscale("log")
    ax.set_xlim(xlim)
    ticks = [n * 10**d for d in range(5) for n in marks]
    ax.xaxis.set_major_locator(FixedLocator([n for n in ticks if xlim[0] <= n <= xlim[1]]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


def _keys(drawn: Sequence[_Run], binned: Sequence[Sequence[Bin]]) -> tuple[Artist, ...]:
    keys: list[Artist] = []
    for run in drawn:
        light, dark, shape = run.look
        keys.append(Line2D([], [], marker=shape, linestyle="none", markersize=4, markerfacecolor=light,
                           markeredgecolor=dark, markeredgewidth=0.5, label=run.name))  # fmt: skip
    keys.append(Line2D([], [], color=INK, marker=drawn[0].look[2], markersize=4.5, linewidth=1.5, label="median"))
    if any(each.spread and each.spread.p95 is not None for of in binned for each in of):
        keys.append(Line2D([], [], color=INK, label="p95, of 1,000 samples and more", **_TAIL))
    if any(not all(run.kept) for run in drawn):
        keys.append(Line2D([], [], color=INK, marker="x", linestyle="none", markersize=4, label="failed or no answer"))
    return tuple(keys)


def _alt(binned: Sequence[Bin]) -> str:
    return ", ".join(f"{duration(b.spread.median)} at {_range(b)}" for b in binned if b.spread)


def _range(each: Bin) -> str:
    first, last = max(each.start, 1), each.end - 1
    return f"{first:.0f}" if first == last else f"{first:.0f} to {last:.0f}"
