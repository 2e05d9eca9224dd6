"""The common frame of every figure: heading, legend, a strip that names the faults, panels on one time axis.

Sizes are inches and points; widths of texts are measured, so that nothing overlaps or is cut off.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from netra_sim.reports.frames import Span, pack
from netra_sim.reports.svg import GRID, INK, PAPER, SOFT

WIDE, NARROW = 7.6, 3.9
FAULT = "#cc79a7"
TEXT, SMALL = 8.5, 7.5
LEFT, HEAD, LEGEND_ROW, STRIP_ROW, NOTE, BOTTOM = 0.62, 0.32, 0.2, 0.2, 0.28, 0.46
_RC: dict[Any, Any] = {
    "font.size": TEXT,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.6,
    "axes.labelcolor": SOFT,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What a figure consists of: panels by height in inches, their notes, legend groups, faults, the time axis."""

    width: float
    heading: str
    panels: tuple[float, ...]
    xlim: tuple[float, float]
    spans: tuple[Span, ...] = ()
    legend: tuple[Sequence[Artist], ...] = ()
    notes: tuple[str, ...] = ()
    right: float = 0.18
    left: float = LEFT
    shade: float = 0.16


@contextmanager
def style() -> Iterator[None]:
    """The figures' look, for the time of drawing one."""
    with matplotlib.rc_context(_RC):
        yield


@functools.lru_cache(maxsize=1024)
def text_width(text: str, size: float = SMALL) -> float:
    """Inches a text takes on one line."""
    if not text.strip():
        return 0.0
    path = TextPath((0, 0), text, size=size, prop=FontProperties(family="DejaVu Sans"))
    return float(path.get_extents().width) / 72


def build(layout: Layout) -> tuple[Figure, list[Axes]]:
    """The figure with its heading, legend and fault strip drawn, and its empty panels, faults shaded."""
    inner = layout.width - layout.left - layout.right
    keys = [row for group in layout.legend for row in _flow(group, layout.width - 0.1)]
    placed = _place(layout.spans, layout.xlim, inner)
    strip = STRIP_ROW * (1 + max(row for *_, row in placed)) + 0.03 if placed else 0.0
    height = HEAD + LEGEND_ROW * len(keys) + strip + sum(layout.panels) + NOTE * len(layout.notes) + BOTTOM
    figure = Figure(figsize=(layout.width, height))
    FigureCanvasSVG(figure)
    figure.text(0.0, 1 - 0.06 / height, layout.heading, va="top", weight="bold", fontsize=TEXT + 0.5)
    _legend(figure, keys, height)
    top = height - HEAD - LEGEND_ROW * len(keys)
    axes = []
    for number, panel in enumerate(layout.panels):
        if layout.notes:
            top -= NOTE
            figure.text(0.0, (top + 0.06) / height, layout.notes[number], fontsize=SMALL)
        if number == 0 and placed:
            top -= strip
            _strip(figure, layout, placed, (top + 0.03, strip - 0.03))
        top -= panel
        box = (layout.left / layout.width, top / height, inner / layout.width, panel / height)
        axes.append(_panel(figure, box, layout))
    return figure, axes


def time_axis(axes: Sequence[Axes], unit: str) -> None:
    """Number the last panel's time axis, and name its unit once."""
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel(unit, fontsize=SMALL, loc="right", labelpad=3)


def duration(seconds: float) -> str:
    """A time as a label: 5 ms, 1.5 s, 2 min."""
    if seconds >= 120:
        return f"{seconds / 60:.3g} min"
    if seconds >= 0.9995:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.0f} ms" if seconds >= 0.00995 else f"{seconds * 1e3:.2g} ms"


def _flow(handles: Sequence[Artist], width: float) -> list[list[Artist]]:
    """The legend's entries in as many rows as they need."""
    rows: list[list[Artist]] = []
    left = 0.0
    for handle in handles:
        wide = text_width(str(handle.get_label())) + 0.4
        if not rows or wide > left:
            rows.append([])
            left = width
        rows[-1].append(handle)
        left -= wide
    return rows


def _legend(figure: Figure, rows: list[list[Artist]], height: float) -> None:
    for number, row in enumerate(rows):
        figure.legend(
            handles=row,
            ncols=len(row),
            loc="center left",
            bbox_to_anchor=(0.02 / figure.get_figwidth(), 1 - (HEAD + LEGEND_ROW * (number + 0.3)) / height),
            frameon=False,
            fontsize=SMALL,
            borderpad=0.0,
            borderaxespad=0.0,
            handlelength=1.2,
            handletextpad=0.4,
            columnspacing=1.0,
        )


def _panel(figure: Figure, box: tuple[float, float, float, float], layout: Layout) -> Axes:
    ax = figure.add_axes(box)
    ax.set_xlim(layout.xlim)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.grid(axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=max(4, int(layout.width * 1.2)), integer=layout.xlim[1] > 8))
    for span in layout.spans:
        if span.fired:
            ax.axvspan(span.start, span.end, facecolor=FAULT, alpha=layout.shade, linewidth=0, zorder=0)
        else:
            ax.axvline(span.start, color=FAULT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
    return ax


def _place(spans: Sequence[Span], xlim: tuple[float, float], inner: float) -> list[tuple[Span, str, float, int]]:
    """Each fault with its label, the label's left edge in inches, and the row in which it meets no other."""
    scale = inner / (xlim[1] - xlim[0])
    texts, extents = [], []
    for span in spans:
        text = span.name if span.struck else f"{span.name} ({'struck nothing' if span.fired else 'never fired'})"
        start, end = ((t - xlim[0]) * scale for t in (max(span.start, xlim[0]), min(span.end, xlim[1])))
        wide = text_width(text) + 0.12
        left = max(0.0, min(start, inner - wide))
        texts.append((text, left))
        extents.append((min(left, start), max(end, left + wide) + 0.05))
    rows = pack(extents)
    return [(s, t, left, row) for s, (t, left), row in zip(spans, texts, rows, strict=True)]


def _strip(
    figure: Figure, layout: Layout, placed: list[tuple[Span, str, float, int]], box: tuple[float, float]
) -> None:
    """A row of bars above the panels, each fault named on its own time."""
    width, height = figure.get_size_inches()
    inner = width - layout.left - layout.right
    ax = figure.add_axes((layout.left / width, box[0] / height, inner / width, box[1] / height))
    ax.set_xlim(layout.xlim)
    ax.set_ylim(box[1] / STRIP_ROW, 0)
    ax.set_axis_off()
    scale = (layout.xlim[1] - layout.xlim[0]) / inner
    for span, text, left, row in placed:
        start, end = max(span.start, layout.xlim[0]), min(span.end, layout.xlim[1])
        if span.fired:
            ax.barh(row + 0.5, end - start, left=start, height=0.84, color=FAULT, alpha=0.42, linewidth=0)
        at = layout.xlim[0] + (left + 0.05) * scale
        ax.text(at, row + 0.52, text, va="center_baseline", fontsize=SMALL)
