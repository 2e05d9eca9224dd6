"""The figures of a run, without pyplot: latency, throughput, one run's sequence, with and without the protection.

Faults are shaded and named above the panel; `figure_alt` is a figure's alternative text.
"""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from netra_sim.kernel.history import History
from netra_sim.reports import frames
from netra_sim.reports.alt import counts, empty, figure_alt, struck, told
from netra_sim.reports.canvas import NARROW, WIDE, Layout, build, duration, style, text_width, time_axis
from netra_sim.reports.frames import OUTCOMES
from netra_sim.reports.pairs import Pair
from netra_sim.reports.scatter import (
    EDGE,
    FACE,
    HATCH,
    draw_limits,
    duration_axis,
    limits_of,
    outcome_keys,
    patch_keys,
    right_margin,
    scatter,
    shape_keys,
    time_span,
)
from netra_sim.reports.svg import INK
from netra_sim.reports.swimlanes import bar_keys, draw_lanes, lane_name, lane_rows

__all__ = ["compare", "figure_alt", "latency", "sequence", "throughput"]
_SECONDS = "seconds since the run began"


def latency(history: History, width: float = WIDE) -> Figure:
    """Every operation at its start and its duration (log): shape by operation, colour by outcome, limits dashed."""
    found = frames.points(history)
    with style():
        limits = limits_of(found)
        legend = (outcome_keys(found), shape_keys(found))
        spans = tuple(frames.spans(history))
        layout = Layout(
            width,
            "Time from asking to answer",
            (2.7,),
            time_span(found),
            spans,
            legend,
            right=right_margin(found, width),
        )
        figure, (ax,) = build(layout)
        low, high = duration_axis(ax, found)
        scatter(ax, found, layout, 2.7)
        draw_limits(ax, limits, (low, high), named=width > NARROW)
        time_axis([ax], _SECONDS)
    figure.set_label(
        f"Scatter plot, logarithmic: the duration of each operation over time. {told(found)} {struck(spans)}"
    )
    return figure


def throughput(history: History, width: float = WIDE) -> Figure:
    """Operations ended a second, stacked by outcome, against those asked for."""
    rates, spans = frames.throughput(history), tuple(frames.spans(history))
    found = frames.points(history)
    step = rates.edges[1] - rates.edges[0]
    with style():
        asked = Line2D([], [], color=INK, linewidth=0.9, label="asked for")
        legend = ((*patch_keys(found), asked),)
        heading = "Operations a second, by how they ended"
        layout = Layout(width, heading, (1.7,), time_span(found), spans, legend, right=right_margin(found, width))
        figure, (ax,) = build(layout)
        floor = [0.0] * len(rates.asked)
        for outcome in OUTCOMES:
            tops = [a + b for a, b in zip(floor, rates.done[outcome], strict=True)]
            if any(rates.done[outcome]):
                ax.stairs(
                    tops,
                    list(rates.edges),
                    baseline=floor,
                    fill=True,
                    facecolor=FACE[outcome],
                    edgecolor=EDGE[outcome],
                    hatch=HATCH[outcome],
                    linewidth=0,
                )
            floor = tops
        ax.stairs(list(rates.asked), list(rates.edges), baseline=None, color=INK, linewidth=0.9)
        ax.set_ylim(0, max(*floor, *rates.asked, 1.0) * 1.06)
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}/s"))
        time_axis([ax], f"{_SECONDS}, in steps of {duration(step)}")
    peak = max(rates.asked, default=0.0)
    figure.set_label(
        f"Stacked steps: operations ended a second, by outcome; at most {peak:.0f} a second were asked for. "
        f"{told(found)} {struck(spans)}"
    )
    return figure


def compare(
    pair: Pair,
    f: str = "chat",
    labels: tuple[str, str] = ("With the protection", "Without the protection"),
    width: float = WIDE,
) -> Figure:
    """The durations of the operations `f` in the run and in its control: side by side, below one another when narrow.

    The axes are the same, times count from the beginning of each load, and each panel has the faults of its own run.
    """
    sides = (pair.protected, pair.control)
    found = [[p for p in side.points if p.f == f] for side in sides]
    both, beside = [*found[0], *found[1]], width > NARROW
    own, whole = tuple(side.spans for side in sides), time_span([p for side in sides for p in side.points])
    with style():
        limits = limits_of(both)
        legend = (outcome_keys(both, counted=False, shaped=True),)
        notes = tuple(f"{label}: {counts(part)}" for label, part in zip(labels, found, strict=True))
        high = 2.1 if beside else 1.5
        layout = Layout(
            width, f"Time from asking to answer: {frames.op_name(f)}", (high, high), whole, (), legend, notes,
            right_margin(both, NARROW), own=own, beside=beside,
        )  # fmt: skip
        figure, axes = build(layout)
        for ax, part in zip(axes, found, strict=True):
            ends = duration_axis(ax, both)
            scatter(ax, part, layout, high, by_outcome=True)
            draw_limits(ax, limits, ends, named=False, told=not beside or ax is axes[-1])
        axes[1].tick_params(labelleft=not beside)
        time_axis(axes, "seconds since the load began", beside)
    figure.set_label(
        f"Two scatter plots on the same axes: durations of {frames.op_name(f)}. "
        + " ".join(f"{n}: {told(p)} {struck(s)}" for n, p, s in zip(labels, found, own, strict=True))
    )
    return figure


def sequence(history: History, run_id: str | None = None, width: float = WIDE) -> Figure:
    """One run's events as lanes: a bar for each agent and tool call, dots for thinking, time in ms."""
    run = frames.run_frame(history, run_id)
    with style():
        if run is None:
            return empty(width, "No run's events were recorded")
        last = max((bar.end for bar in run.bars), default=1.0)
        lanes = frames.lanes(run.bars)
        left = max((text_width(lane_name(lane)) for lane in lanes), default=0.4) + 0.16
        room = text_width("99.9 s") + 0.12
        xlim = (0.0, last * (1 + room / (width - left - 0.18 - room)))
        rows = lane_rows(run.bars, lanes, xlim, width - left - 0.18)
        height = 0.235 * sum(max(r) + 1 for r in rows.values()) + 0.1
        keys = bar_keys(run.bars)
        heading = "One run, event by event" if width <= NARROW else f"One run, event by event (run {run.run_id[:12]})"
        figure, (ax,) = build(Layout(width, heading, (height,), xlim, run.spans, (keys,), left=left, shade=0.08))
        draw_lanes(ax, run.bars, lanes, rows)
        time_axis([ax], "milliseconds since the run's first event")
    figure.set_label(_sequence_alt(run, last))
    return figure


def _sequence_alt(run: frames.RunFrame, last: float) -> str:
    agents = [bar for bar in run.bars if not bar.label]
    parts = "; ".join(f"{lane_name(b.lane)} {b.start:.0f} to {b.end:.0f} ms" for b in agents)
    tools = len(run.bars) - len(agents)
    names = ", ".join(s.name for s in run.spans)
    faults = f" Faults in its time: {names}." if names else ""
    return f"Swimlanes of one run of {duration(last / 1e3)}: {parts}. {tools} tool calls.{faults}"
