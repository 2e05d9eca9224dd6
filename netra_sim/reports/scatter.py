"""Operations as points: shapes, outcomes' colours, the logarithmic axis, limits, and the legend that explains them.

Outcomes are told apart by colour (Okabe and Ito, https://jfly.uni-koeln.de/color/), by fill and by size, so that colour
blindness and print leave them apart.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from netra_sim.kernel.history import Outcome
from netra_sim.reports import frames
from netra_sim.reports.canvas import NARROW, SMALL, Layout, duration
from netra_sim.reports.frames import OUTCOMES, Point
from netra_sim.reports.svg import INK, PAPER, SOFT

FACE: dict[Outcome, str] = {"ok": "#56b4e9", "fail": "#d55e00", "unknown": PAPER}
EDGE: dict[Outcome, str] = {"ok": "#0072b2", "fail": "#8a3c00", "unknown": INK}
WORD: dict[Outcome, str] = {"ok": "ok", "fail": "failed", "unknown": "no answer"}
HATCH: dict[Outcome, str] = {"ok": "", "fail": "////", "unknown": "\\\\\\"}
_SIZE: dict[Outcome, float] = {"ok": 3.4, "fail": 5.0, "unknown": 5.0}
SHAPE: dict[Outcome, str] = {"ok": "o", "fail": "X", "unknown": "D"}  # where only one operation is drawn
_MOST = 3000  # points of a figure, all groups together: some 60 bytes each
_SHAPES = "osD^vPX<>*hp"
_ORDER = ("chat", "send", "connect", "history", "login", "signup", "refresh", "logout", "connect_refused")


def scatter(ax: Axes, found: Sequence[Point], layout: Layout, height: float, by_outcome: bool = False) -> None:
    """The operations as markers: shape by operation or `by_outcome`, colour, fill and size by outcome."""
    shapes = _shapes(found)
    groups: dict[tuple[Outcome, str], list[Point]] = {}
    for p in found:
        groups.setdefault((p.outcome, p.f), []).append(p)
    size = (layout.inner * 72, height * 72)
    for outcome in OUTCOMES:
        for f, shape in shapes.items():
            places = [(p.at, max(p.seconds, 1e-4)) for p in groups.get((outcome, f), [])]
            chosen = thin(places, ax, size, min(500, _MOST // len(groups)))
            ax.plot(
                [x for x, _ in chosen],
                [y for _, y in chosen],
                SHAPE[outcome] if by_outcome else shape,
                linestyle="none",
                markerfacecolor=FACE[outcome],
                markeredgecolor=EDGE[outcome],
                markersize=_SIZE[outcome],
                markeredgewidth=0.5 if outcome == "ok" else 0.8,
                alpha=0.75 if outcome == "ok" else 1.0,
                zorder=2 + OUTCOMES.index(outcome),
            )


def thin(
    places: Sequence[tuple[float, float]], ax: Axes, size: tuple[float, float], most: int
) -> list[tuple[float, float]]:
    """One of those places that would lie on one another, at most `most`; the panel's `size` is in points.

    Where two points are closer than can be told apart the picture is the same, and the file stays small.
    """
    across = _along([x for x, _ in places], ax.get_xlim(), ax.get_xscale(), size[0])
    up = _along([y for _, y in places], ax.get_ylim(), ax.get_yscale(), size[1])
    cell = 2.0
    while True:
        cells: dict[tuple[int, int], tuple[float, float]] = {}
        for place, x, y in zip(places, across, up, strict=True):
            cells.setdefault((round(x / cell), round(y / cell)), place)
        if len(cells) <= most:
            return list(cells.values())
        cell *= 1.25


def _along(values: Sequence[float], limits: tuple[float, float], scale: str, size: float) -> list[float]:
    """Values as points along an axis."""
    low, high = limits
    if scale == "log":
        return [math.log(value / low) / math.log(high / low) * size for value in values]
    return [(value - low) / (high - low) * size for value in values]


def duration_axis(ax: Axes, found: Sequence[Point]) -> tuple[float, float]:
    """A logarithmic axis of the operations' durations and limits; answers its ends in seconds."""
    values = [p.seconds for p in found] or [0.01, 1.0]
    return log_axis(ax, values + list({p.limit for p in found if p.limit}))


def log_axis(ax: Axes, seconds: Sequence[float]) -> tuple[float, float]:
    """A logarithmic axis of these durations, labelled at round values; answers its ends in seconds."""
    values = [max(value, 1e-4) for value in seconds]
    low, high = min(values) / 1.6, max(values) * 1.6
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    marks = (1,) if high / low > 100 else (1, 3) if high / low > 10 else (1, 2, 5)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**d for d in decades for m in marks if low <= m * 10.0**d <= high]
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: duration(y)))
    return low, high


def limits_of(found: Sequence[Point]) -> dict[float, list[str]]:
    """The deadlines that operations were held to, each with their names; none when they are too many to read."""
    limits: dict[float, list[str]] = {}
    for limit, f in sorted({(p.limit, p.f) for p in found if p.limit}):
        limits.setdefault(limit or 0.0, []).append(frames.op_name(f))
    return limits if len(limits) <= 4 else {}


def draw_limits(
    ax: Axes, limits: dict[float, list[str]], ylim: tuple[float, float], named: bool, told: bool = True
) -> None:
    """Dashed lines, `told` at the right of the panel, each text above the one before."""
    free = 0.0
    for limit, names in limits.items():
        ax.axhline(limit, color=SOFT, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
        if not told:
            continue
        lines = [f"limit {duration(limit)}", *(textwrap.wrap(", ".join(names), 15) if named else [])]
        half = 0.025 * len(lines)
        at = max(math.log10(limit / ylim[0]) / math.log10(ylim[1] / ylim[0]), free + half)
        ax.annotate(
            "\n".join(lines),
            (1, at),
            (4, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            fontsize=SMALL - 0.5,
            color=SOFT,
            linespacing=1.15,
        )
        free = at + half


def right_margin(found: Sequence[Point], width: float) -> float:
    """The right margin, with room for the limits' names; the same in figures that stand below one another."""
    return 0.18 if not limits_of(found) else 1.1 if width > NARROW else 0.74


def _shapes(found: Sequence[Point]) -> dict[str, str]:
    used = {p.f for p in found}
    names = [f for f in _ORDER if f in used] + sorted(used - set(_ORDER))
    return {f: _SHAPES[i % len(_SHAPES)] for i, f in enumerate(names)}


def outcome_keys(found: Sequence[Point], counted: bool = True, shaped: bool = False) -> list[Artist]:
    """The legend's entries for the outcomes, with how many operations had each; `shaped` as the markers are."""
    count = Counter(p.outcome for p in found)
    return [
        Line2D(
            [],
            [],
            marker=SHAPE[o] if shaped else "o",
            linestyle="none",
            markersize=_SIZE[o] + 0.6,
            markerfacecolor=FACE[o],
            markeredgecolor=EDGE[o],
            markeredgewidth=0.8,
            label=f"{WORD[o]} {count[o]:,}" if counted else WORD[o],
        )
        for o in OUTCOMES
    ]


def shape_keys(found: Sequence[Point]) -> list[Artist]:
    """The legend's entries for the operations."""
    return [
        Line2D(
            [],
            [],
            marker=shape,
            linestyle="none",
            markersize=4.4,
            markerfacecolor="none",
            markeredgecolor=SOFT,
            markeredgewidth=0.8,
            label=frames.op_name(f),
        )
        for f, shape in _shapes(found).items()
    ]


def patch_keys(found: Sequence[Point]) -> list[Artist]:
    """The legend's entries for areas by outcome."""
    count = Counter(p.outcome for p in found)
    return [
        Patch(facecolor=FACE[o], edgecolor=EDGE[o], hatch=HATCH[o], linewidth=0.5, label=f"{WORD[o]} {count[o]:,}")
        for o in OUTCOMES
    ]


def time_span(found: Sequence[Point]) -> tuple[float, float]:
    """The time axis' limits for these operations, with a little air."""
    first, last = min((p.at for p in found), default=0.0), max((p.at + p.seconds for p in found), default=1.0)
    pad = max((last - first) * 0.015, 0.01)
    return first - pad, last + pad
