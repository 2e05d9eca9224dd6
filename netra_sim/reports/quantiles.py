"""Durations over time by operation: median and extremes of each step, a p99 only where a step has samples for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from netra_sim.kernel.history import History
from netra_sim.reports import bins, frames
from netra_sim.reports.alt import empty, struck
from netra_sim.reports.bins import Bin, Spread
from netra_sim.reports.canvas import SMALL, WIDE, Layout, build, duration, style, text_width, time_axis
from netra_sim.reports.frames import Point
from netra_sim.reports.scatter import EDGE, FACE, log_axis, right_margin, thin, time_span
from netra_sim.reports.svg import SOFT

MAIN = ("chat", "send", "connect", "history", "login", "signup")
_BAND = "#b9def5"
_MEDIAN: dict[str, Any] = {"color": "#00466e", "linewidth": 1.6}
_TAIL: dict[str, Any] = {"color": "#d55e00", "linewidth": 1.3, "linestyle": (0, (2.5, 1))}
_HIGH, _LEFT_OUT = 1.15, (("fail", "failed", "X"), ("unknown", "no answer", "o"))


def quantiles(
    history: History, limits: Mapping[str, float] | None = None, names: Sequence[str] = (), width: float = WIDE
) -> Figure:
    """Median, fastest and slowest of each step of time, a panel for each operation (by default the first four of MAIN).

    `limits` (seconds by operation) hold for operations that carry no deadline of their own.
    """
    everything = frames.points(history)
    used = {p.f for p in everything}
    chosen = [f for f in names or MAIN if f in used][: len(names) or 4]
    found = {f: bins.judged(history, f, (limits or {}).get(f)) for f in chosen}
    with style():
        if not found:
            return empty(width, "No operations to draw over time")
        spans = tuple(frames.spans(history))
        limits_ = {p.limit for each in found.values() for p in each if p.limit is not None}
        rooms = [text_width(f"limit {duration(limit)} ↑") + 0.1 for limit in limits_]
        right = max([right_margin(everything, width), *rooms])
        binned = {f: bins.over_time(bins.samples(each), everything) for f, each in found.items()}
        notes = tuple(_note(f, each, binned[f]) for f, each in found.items())
        panels = (_HIGH,) * len(found)
        heading = "Time to answer over time: median and extremes"
        layout = Layout(width, heading, panels, time_span(everything), spans, (_keys(binned, found),), notes, right)
        figure, axes = build(layout)
        for ax, f in zip(axes, found, strict=True):
            _panel(ax, found[f], binned[f], layout)
        time_axis(axes, "seconds since the run began, by when it was asked")
    figure.set_label(f"Steps over time, logarithmic: durations by operation. {' '.join(notes)} {struck(spans)}")
    return figure


def told(each: Spread | None, limits: set[float]) -> str:
    """A spread in words; percentiles only of 1,000 samples and more, else the slowest; and how many were over."""
    if each is None:
        return "no sample"
    named = [("median", each.median, 0.5), ("p95", each.p95, 0.05), ("p99", each.p99, 0.01)]
    text = f"{each.count:,} sample{'' if each.count == 1 else 's'}"
    for name, value, share in [*named, ("slowest", each.high, 0.0)]:
        if value is not None:
            bound = "at least " if each.waiting > share * each.count else ""
            text += f", {name} {bound}{duration(value)}"
    if limits:
        text += f"; {each.over:,} over " + (f"{duration(min(limits))}" if len(limits) == 1 else "their limits")
    return text


def _note(f: str, found: Sequence[Point], binned: Sequence[Bin]) -> str:
    kept = bins.samples(found)
    told_ = told(bins.spread(kept), {p.limit for p in found if p.limit is not None})
    waiting = sum(p.outcome != "ok" for p in kept)
    told_ += f", {waiting:,} without an answer" if waiting else ""
    aside = _aside(found)
    counts = [f"{sum(p.outcome == o for p in aside):,} {word}" for o, word, _ in _LEFT_OUT if _some(aside, o)]
    counts += [f"{n:,} given up by the user"] if (n := sum(p.abandoned for p in found)) else []
    step = f" (steps of {duration(binned[0].end - binned[0].start)})" if kept else ""
    return f"{frames.op_name(f).capitalize()}: {told_}{step}." + (f" Apart: {', '.join(counts)}." if counts else "")


def _aside(found: Sequence[Point]) -> list[Point]:
    """What is no sample, but for what its user gave up."""
    kept = {id(p) for p in bins.samples(found)}
    return [p for p in found if id(p) not in kept and not p.abandoned]


def _some(found: Sequence[Point], outcome: str) -> bool:
    return any(p.outcome == outcome for p in found)


def _panel(ax: Axes, found: Sequence[Point], binned: Sequence[Bin], layout: Layout) -> None:
    kept = bins.samples(found)
    limits = sorted({p.limit for p in found if p.limit is not None})
    times = [p.seconds for p in kept] or [0.01, 1.0]
    near = [limit for limit in limits if limit <= 8 * max(times)]
    low, high = log_axis(ax, times + near)
    aside = _aside(found)
    if aside:
        ax.set_ylim(low, high * (high / low) ** 0.12)  # room for the marks at the top
    _steps(ax, binned)
    _marks(ax, aside, layout)
    for limit in near:
        ax.axhline(limit, color=SOFT, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    if limits:
        text, at = f"limit {duration(limits[0])}", (1.0, limits[0])
        if not near:
            text, at = f"{text} ↑", (1.0, high / 1.1)
        ax.annotate(
            text, at, (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            fontsize=SMALL - 0.5, color=SOFT,
        )  # fmt: skip


def _steps(ax: Axes, binned: Sequence[Bin]) -> None:
    """The band from the fastest to the slowest, the median, and the p99 of those that have one."""
    full = [(each, each.spread) for each in binned if each.spread]
    if not full:
        return
    edges = [each.start for each in binned] + [binned[-1].end]
    low, high = ([getattr(each.spread, name, math.nan) for each in binned] for name in ("low", "high"))
    ax.stairs(high, edges, baseline=low, fill=True, facecolor=_BAND, edgecolor=EDGE["ok"], linewidth=0.4, zorder=1.5)
    tails = [(each, s.p99) for each, s in full if s.p99 is not None]
    for line, style_ in (([(each, s.median) for each, s in full], _MEDIAN), (tails, _TAIL)):
        starts, ends = [each.start for each, _ in line], [each.end for each, _ in line]
        ax.hlines([y for _, y in line], starts, ends, zorder=3, **style_)


def _marks(ax: Axes, aside: Sequence[Point], layout: Layout) -> None:
    """Those that are no samples, at the top of the panel at the time when they were asked."""
    low, high = ax.get_ylim()
    height = high / (high / low) ** 0.05
    for outcome, _, shape in _LEFT_OUT:
        places = [(p.at, height) for p in aside if p.outcome == outcome]
        size = ((layout.width - layout.left - layout.right) * 72, _HIGH * 72)
        chosen = thin(places, ax, size, 150)
        ax.plot([x for x, _ in chosen], [y for _, y in chosen], shape, **_mark(outcome))


def _mark(outcome: str) -> dict[str, Any]:
    face = FACE["fail"] if outcome == "fail" else "none"
    edge = EDGE["fail"] if outcome == "fail" else EDGE["unknown"]
    return {
        "linestyle": "none",
        "markersize": 4,
        "markerfacecolor": face,
        "markeredgecolor": edge,
        "markeredgewidth": 0.6,
    }


def _keys(binned: Mapping[str, Sequence[Bin]], found: Mapping[str, Sequence[Point]]) -> tuple[Artist, ...]:
    keys: list[Artist] = [
        Line2D([], [], label="median", **_MEDIAN),
        Patch(facecolor=_BAND, edgecolor=EDGE["ok"], linewidth=0.5, label="fastest to slowest"),
    ]
    if any(each.spread and each.spread.p99 is not None for of in binned.values() for each in of):
        label = "p99, of steps with 1,000 samples and more"
        keys.append(Line2D([], [], label=label, **_TAIL))
    aside = [p for each in found.values() for p in _aside(each)]
    for outcome, word, shape in _LEFT_OUT:
        if _some(aside, outcome):
            keys.append(Line2D([], [], marker=shape, label=f"{word}, no sample", **_mark(outcome)))
    return tuple(keys)
