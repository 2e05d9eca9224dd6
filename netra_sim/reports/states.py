"""The states of the platform over time: degradation level and breakers as bands, pool, sockets and runs as steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from netra_sim.kernel.history import History
from netra_sim.reports import frames
from netra_sim.reports import gauges as gauged
from netra_sim.reports.alt import empty, struck
from netra_sim.reports.canvas import LEFT, SMALL, WIDE, Layout, build, style, text_width, time_axis
from netra_sim.reports.gauges import SILENT, Gauges, Lane, Steps
from netra_sim.reports.scatter import EDGE, FACE, right_margin, time_span
from netra_sim.reports.svg import INK, PAPER, SOFT

# From pale to dark and from plain to dense, so that print and colour blindness keep the order.
_LOOKS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "closed, normal": (("closed", "normal"), "#d6ebf9", ""),
    "half open, partial": (("half_open", "partial"), "#f0e442", "////"),
    "degraded": (("degraded",), "#e69f00", "xxxx"),
    "open, minimal": (("open", "minimal"), "#d55e00", ""),
    "does not answer": ((SILENT,), PAPER, "...."),
}
_LOOK = {state: (face, hatch) for states, face, hatch in _LOOKS.values() for state in states}
_ROW, _GAP, _STEPS = 0.15, 0.1, 0.75
_SIZE: dict[str, Any] = {"color": INK, "linewidth": 1.0, "linestyle": (0, (3, 1.5))}
_SOCKETS: dict[str, Any] = {"color": EDGE["ok"], "linewidth": 1.4}
_RUNS: dict[str, Any] = {"color": EDGE["fail"], "linewidth": 1.2, "linestyle": (0, (1.2, 1))}


def states(history: History, width: float = WIDE) -> Figure:
    """Level and breakers of each worker, connections in use against the pool's size, open sockets and runs."""
    found, points = gauged.gauges(history), frames.points(history)
    with style():
        if found is None:
            return empty(width, "No states of the platform were recorded")
        shown = _shown(found)
        spans = tuple(frames.spans(history))
        notes = _notes(found)
        left = max(LEFT, *(text_width(_name(lane.name)) + 0.14 for lane in shown))
        xlim = time_span(points) if points else (found.used.edges[0], found.used.edges[-1])
        layout = Layout(
            width,
            "State of the platform",
            (_high(shown), _STEPS, _STEPS),
            xlim,
            spans,
            (_band_keys(shown), _step_keys()),
            notes,
            right=max(right_margin(points, width), 0.62),
            left=left,
            shade=0.1,
        )
        figure, (bands, pool, load) = build(layout)
        _draw_lanes(bands, shown)
        _fill(pool, found.used)
        _line(pool, found.size, **_SIZE)
        _line(load, found.sockets, **_SOCKETS)
        _line(load, found.runs, **_RUNS)
        for ax in (pool, load):
            ax.set_ylim(0, max(ax.dataLim.y1, 1) * 1.12)
            ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        time_axis([bands, pool, load], "seconds since the run began")
    figure.set_label(f"Bands and steps over time. {' '.join(notes)} {_alt(shown)} {struck(spans)}")
    return figure


def _shown(found: Gauges) -> list[Lane]:
    """The level, and the breakers of those dependencies that one of the workers saw fail."""
    moved = {lane.name for lane in found.lanes if not lane.calm}
    return [lane for lane in found.lanes if lane.name == "level" or lane.name in moved]


def _name(name: str) -> str:
    return "2nd LLM" if name == "llm_fallback" else frames.service_name(name)


def _notes(found: Gauges) -> tuple[str, str, str]:
    shown = {lane.name for lane in _shown(found)}
    calm = [_name(name) for name in dict.fromkeys(lane.name for lane in found.lanes) if name not in shown]
    silent = f" Breakers closed throughout: {', '.join(calm)}." if calm else ""
    most, size = max(found.used.values), max(found.size.values)
    return (
        f"Degradation level and breakers, a row for each worker.{silent}",
        f"Database connections of all workers: at most {most} in use, pools at most {size} large.",
        f"At most {max(found.sockets.values):,} open sockets and {max(found.runs.values):,} runs at work.",
    )


def _tops(shown: Sequence[Lane]) -> list[float]:
    """The top of each lane in inches, with a gap between names."""
    tops, at = [], 0.0
    for n, lane in enumerate(shown):
        at += _GAP if n and lane.name != shown[n - 1].name else 0.0
        tops.append(at)
        at += _ROW
    return tops


def _high(shown: Sequence[Lane]) -> float:
    return _tops(shown)[-1] + _ROW + 0.05


def _draw_lanes(ax: Axes, shown: Sequence[Lane]) -> None:
    tops = _tops(shown)
    least = 0.002 * (ax.get_xlim()[1] - ax.get_xlim()[0])
    for lane, top in zip(shown, tops, strict=True):
        for state in dict.fromkeys(band.state for band in lane.bands):
            face, hatch = _LOOK.get(state, (PAPER, "++"))
            parts = [(b.start, max(b.end - b.start, least)) for b in lane.bands if b.state == state]
            calm = state in gauged.CALM
            air = 0.05 if calm else 0.01  # the shade of a fault is seen beside a thin band
            ax.broken_barh(
                parts, (top + air, _ROW - 2 * air), facecolor=face, edgecolor="#8fb8d6" if calm else INK, hatch=hatch,
                linewidth=0.4, zorder=2 if calm else 3,
            )  # fmt: skip
        ax.annotate(
            lane.worker, (1, top + _ROW / 2), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
            va="center_baseline", fontsize=SMALL - 1.2, color=SOFT,
        )  # fmt: skip
    names = list(dict.fromkeys(lane.name for lane in shown))
    rows = {name: [t for lane, t in zip(shown, tops, strict=True) if lane.name == name] for name in names}
    ax.set_ylim(_high(shown), -0.03)
    ax.set_yticks([(min(rows[n]) + max(rows[n]) + _ROW) / 2 for n in names], [_name(n) for n in names])
    ax.grid(visible=False)


def _fill(ax: Axes, steps: Steps) -> None:
    kept = gauged.coarse(steps)
    ax.stairs(kept.values, kept.edges, fill=True, facecolor=FACE["ok"], edgecolor=EDGE["ok"], linewidth=0.5, zorder=2)


def _line(ax: Axes, steps: Steps, **look: Any) -> None:
    kept = gauged.coarse(steps)
    ax.stairs(kept.values, kept.edges, baseline=None, zorder=3, **look)


def _band_keys(shown: Sequence[Lane]) -> list[Artist]:
    used = {band.state for lane in shown for band in lane.bands}
    return [
        Patch(facecolor=face, edgecolor=INK, hatch=hatch, linewidth=0.4, label=label)
        for label, (states_, face, hatch) in _LOOKS.items()
        if used & set(states_)
    ]


def _step_keys() -> list[Artist]:
    return [
        Patch(facecolor=FACE["ok"], edgecolor=EDGE["ok"], linewidth=0.5, label="connections in use"),
        Line2D([], [], label="size of the pools", **_SIZE),
        Line2D([], [], label="sockets", **_SOCKETS),
        Line2D([], [], label="runs", **_RUNS),
    ]


def _alt(shown: Sequence[Lane]) -> str:
    told = [f"{_name(lane.name)} of {lane.worker}: {_away(lane)}" for lane in shown if not lane.calm]
    return "; ".join(told) + "." if told else "Every worker answered, at level normal with all breakers closed."


def _away(lane: Lane) -> str:
    """How long it was in each state but the calm one."""
    times: dict[str, float] = {}
    for band in lane.bands:
        if band.state not in gauged.CALM:
            times[band.state] = times.get(band.state, 0.0) + band.end - band.start
    return ", ".join(f"{state.replace('_', ' ')} for {seconds:.1f} s" for state, seconds in times.items())
