"""One run's agents and tool calls as bars in lanes."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from netra_sim.kernel.history import Outcome
from netra_sim.reports.canvas import SMALL, duration, text_width
from netra_sim.reports.frames import OUTCOMES, Bar, pack
from netra_sim.reports.scatter import EDGE, FACE
from netra_sim.reports.svg import INK, PAPER, SOFT


def lane_name(lane: str) -> str:
    """A lane as its label."""
    return lane.replace("_", " ")


def lane_rows(
    bars: Sequence[Bar], lanes: Sequence[str], xlim: tuple[float, float], inner: float
) -> dict[str, list[int]]:
    """For each lane the row of each of its bars, texts included, so that parallel ones lie below one another."""
    scale = (xlim[1] - xlim[0]) / inner
    rows = {}
    for lane in lanes:
        mine = [bar for bar in bars if bar.lane == lane]
        rows[lane] = pack([(bar.start, _text_end(bar, scale)) for bar in mine])
    return rows


def _bar_text(bar: Bar) -> str:
    taken = duration((bar.end - bar.start) / 1e3)
    return f"{bar.label.replace('_', ' ')} {taken}".strip()


def _text_end(bar: Bar, scale: float) -> float:
    text = (text_width(_bar_text(bar)) + 0.16) * scale
    return bar.start + max(text, bar.end - bar.start) if bar.label else bar.end + text


def draw_lanes(ax: Axes, bars: Sequence[Bar], lanes: Sequence[str], rows: dict[str, list[int]]) -> None:
    """Draw every bar in its lane and row, and name the lanes at the left."""
    top = 0
    ticks = []
    for lane in lanes:
        mine = [bar for bar in bars if bar.lane == lane]
        for bar, row in zip(mine, rows[lane], strict=True):
            _draw_bar(ax, bar, top + row + 0.5)
        deep = max(rows[lane]) + 1
        ticks.append(top + 0.5)
        top += deep
        ax.axhline(top, color=SOFT, alpha=0.25, linewidth=0.5, zorder=0)
    ax.set_ylim(top + 0.15, -0.1)
    ax.set_yticks(ticks, [lane_name(lane) for lane in lanes])
    ax.grid(visible=False)


def _draw_bar(ax: Axes, bar: Bar, y: float) -> None:
    tool = bool(bar.label)
    ax.barh(
        y,
        max(bar.end - bar.start, ax.get_xlim()[1] * 0.002),
        left=bar.start,
        height=0.62,
        facecolor=FACE[bar.outcome],
        alpha=0.4 if tool else 0.9,
        edgecolor=EDGE[bar.outcome],
        linewidth=0.6,
        linestyle="-" if bar.closed else (0, (2, 2)),
        zorder=2,
    )
    ax.plot(
        list(bar.marks),
        [y] * len(bar.marks),
        "o",
        markersize=2.6,
        markerfacecolor=PAPER,
        markeredgecolor=EDGE[bar.outcome],
        markeredgewidth=0.5,
        zorder=3,
    )
    at, gap = (bar.start, 3) if tool else (bar.end, 4)
    ax.annotate(
        _bar_text(bar),
        (at, y),
        (gap, 0),
        textcoords="offset points",
        va="center_baseline",
        fontsize=SMALL - 0.5,
        color=INK if tool else SOFT,
        zorder=4,
    )


def bar_keys(bars: Sequence[Bar]) -> tuple[Artist, ...]:
    """The legend's entries for the bars."""
    used = {bar.outcome for bar in bars}
    names: dict[Outcome, str] = {
        "ok": "agent, started to completed",
        "fail": "ended in error or death",
        "unknown": "end not seen",
    }
    keys: list[Artist] = [
        Patch(facecolor=FACE[o], edgecolor=EDGE[o], linewidth=0.6, label=names[o]) for o in OUTCOMES if o in used
    ]
    if any(bar.marks for bar in bars):
        keys.append(
            Line2D(
                [],
                [],
                marker="o",
                linestyle="none",
                markersize=3.4,
                markerfacecolor=PAPER,
                markeredgecolor=EDGE["ok"],
                markeredgewidth=0.6,
                label="thinking step",
            )
        )
    if any(bar.label for bar in bars):
        keys.append(Patch(facecolor=FACE["ok"], edgecolor=EDGE["ok"], alpha=0.4, linewidth=0.6, label="tool call"))
    return tuple(keys)
