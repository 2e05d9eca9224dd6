"""The common frame of every figure: heading, legend, a strip that names the faults, panels on one time axis.

Sizes are inches and points; widths of texts are measured, so that nothing overlaps or is cut off.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

from netra_sim.reports.frames import Span, pack
from netra_sim.reports.svg import GRID, INK, PAPER, SOFT

WIDE, NARROW = 7.6, 3.9
FAULT = "#cc79a7"
TEXT, SMALL = 8.5, 7.5
LEFT, HEAD, LEGEND_ROW, STRIP_ROW, NOTE, NOTE_LINE, BOTTOM = 0.62, 0.32, 0.2, 0.2, 0.28, 0.15, 0.46
GAP = 0.3  # inches between panels that stand side by side
_BOLD = 1.38  # a heading's width over that of the same text in small letters
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
    """What a figure consists of: panels by height in inches, their notes, legend groups, faults, the time axis.

    Faults are named above the first panel and shaded in all, unless each panel has its `own`. `beside`: panels stand
    side by side, the first with the labels of the axis that they share.
    """

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
    own: tuple[tuple[Span, ...], ...] = ()
    beside: bool = False

    @property
    def inner(self) -> float:
        """A panel's width in inches."""
        room = self.width - self.left - self.right
        return (room - GAP * (len(self.panels) - 1)) / len(self.panels) if self.beside else room

    def shaded(self, number: int) -> tuple[Span, ...]:
        """The faults of a panel."""
        return self.own[number] if self.own else self.spans

    def named(self, number: int) -> tuple[Span, ...]:
        """The faults that are named above a panel."""
        return self.shaded(number) if self.own or number == 0 else ()


@dataclass(frozen=True, slots=True)
class _Cell:
    """A panel with its notes and the names of its faults: heights and left edge in inches."""

    lines: list[str]
    placed: list[_Placed]
    deep: float
    strip: float
    panel: float
    left: float

    @property
    def height(self) -> float:
        """All of it."""
        return self.deep + self.strip + self.panel


@dataclass(frozen=True, slots=True)
class _Placed:
    """The faults of one label: its text, its left edge in inches, its row in the strip."""

    spans: tuple[Span, ...]
    text: str
    left: float
    row: int


@contextmanager
def style() -> Iterator[None]:
    """The figures' look, for the time of drawing one."""
    with matplotlib.rc_context(_RC):
        yield


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float = SMALL) -> float:
    """Inches a text takes on one line."""
    if not text.strip():
        return 0.0
    wide, _, _ = text_to_path.get_text_width_height_descent(
        text, FontProperties(family="DejaVu Sans", size=size), False
    )
    return float(wide) / 72


def fit(text: str, width: float, rest: str = "") -> str:
    """The text and `rest` in at most `width` inches; a longer text loses its end, not its rest."""
    if text_width(text + rest) <= width:
        return text + rest
    kept = next((n for n in range(len(text), 0, -1) if text_width(text[:n].rstrip() + "…" + rest) <= width), 1)
    return text[:kept].rstrip() + "…" + rest


def fold(text: str, width: float) -> list[str]:
    """The text's lines, folded at `width` inches; a longer word is cut."""
    return [line for part in text.split("\n") for line in _fold(part, width)]


def _fold(text: str, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(fit(word, width))
    return [line for line in lines if line] or [""]


def build(layout: Layout) -> tuple[Figure, list[Axes]]:
    """The figure with its heading, legend and fault strips drawn, and its empty panels, faults shaded."""
    keys = [row for group in layout.legend for row in _flow(group, layout.width - 0.1)]
    cells = _cells(layout)
    heights = [cell.height for cell in cells]
    head = HEAD + LEGEND_ROW * len(keys)
    height = head + (max(heights) if layout.beside else sum(heights)) + BOTTOM
    figure = Figure(figsize=(layout.width, height))
    FigureCanvasSVG(figure)
    heading = fit(layout.heading, layout.width / _BOLD)
    figure.text(0.0, 1 - 0.06 / height, heading, va="top", weight="bold", fontsize=TEXT + 0.5)
    _legend(figure, keys, height)
    axes, top = [], height - head
    for number, cell in enumerate(cells):
        axes.append(_draw(figure, layout, cell, layout.shaded(number), top))
        top -= 0.0 if layout.beside else cell.height
    return figure, axes


def _cells(layout: Layout) -> list[_Cell]:
    """The panels with what belongs to them; side by side they are as deep as the deepest."""
    cells = []
    for number, panel in enumerate(layout.panels):
        room = layout.inner if layout.beside else layout.width - 0.05
        lines = fold(layout.notes[number], room) if layout.notes else []
        placed = _place(layout.named(number), layout.xlim, layout.inner)
        strip = STRIP_ROW * (1 + max(each.row for each in placed)) + 0.03 if placed else 0.0
        left = layout.left + (layout.inner + GAP) * number * layout.beside
        cells.append(_Cell(lines, placed, NOTE + NOTE_LINE * (len(lines) - 1) if lines else 0.0, strip, panel, left))
    if layout.beside:
        deep, strip = max(cell.deep for cell in cells), max(cell.strip for cell in cells)
        cells = [replace(cell, deep=deep, strip=strip) for cell in cells]
    return cells


def _draw(figure: Figure, layout: Layout, cell: _Cell, spans: Sequence[Span], top: float) -> Axes:
    """A cell's notes, its strip and its empty panel, from `top` inches down."""
    width, height = figure.get_size_inches()
    top -= cell.deep
    for n, line in enumerate(reversed(cell.lines)):
        left = cell.left / width if layout.beside else 0.0
        figure.text(left, (top + 0.06 + NOTE_LINE * n) / height, line, fontsize=SMALL)
    top -= cell.strip
    if cell.placed:
        _strip(figure, layout, cell, top + 0.03)
    box = (cell.left / width, (top - cell.panel) / height, layout.inner / width, cell.panel / height)
    return _panel(figure, box, layout, spans)


def time_axis(axes: Sequence[Axes], unit: str, beside: bool = False) -> None:
    """Number the last panel's time axis, and name its unit once; panels side by side are all numbered."""
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=beside)
    axes[-1].set_xlabel(unit, fontsize=SMALL, loc="right", labelpad=3)


def fault_label(span: Span) -> str:
    """A fault's name, and what became of it where that was nothing."""
    return span.name if span.struck else f"{span.name} ({'struck nothing' if span.fired else 'never fired'})"


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
        handle.set_label(fit(str(handle.get_label()), width - 0.4))
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


def _panel(figure: Figure, box: tuple[float, float, float, float], layout: Layout, spans: Sequence[Span]) -> Axes:
    ax = figure.add_axes(box)
    ax.set_xlim(layout.xlim)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.grid(axis="y")
    columns = len(layout.panels) if layout.beside else 1
    bins = max(4, int(layout.width * 1.2 / columns))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=bins, integer=layout.xlim[1] > 8))
    least = 0.002 * (layout.xlim[1] - layout.xlim[0])  # a fault of no length is still seen
    for span in spans:
        if _throughout(span, layout.xlim):
            continue
        if span.fired:
            ax.axvspan(
                span.start,
                max(span.end, span.start + least),
                facecolor=FAULT,
                alpha=layout.shade,
                linewidth=0,
                zorder=0,
            )
        else:
            ax.axvline(span.start, color=FAULT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
    return ax


def _throughout(span: Span, xlim: tuple[float, float]) -> bool:
    """Whether a fault lasts so long that its shade would hide the others': the strip alone names it."""
    seen = min(span.end, xlim[1]) - max(span.start, xlim[0])
    return span.fired and seen > 0.9 * (xlim[1] - xlim[0])


def _place(spans: Sequence[Span], xlim: tuple[float, float], inner: float) -> list[_Placed]:
    """The faults by label, each label with its left edge in inches and the row in which it meets no other."""
    scale = inner / (xlim[1] - xlim[0])
    groups: dict[str, list[Span]] = {}
    for span in spans:
        groups.setdefault(fault_label(span), []).append(span)
    found, extents = [], []
    for name, same in groups.items():
        text = fit(name, inner - 0.12, f" ({len(same)} times)" if len(same) > 1 else "")
        start = (min(max(min(s.start for s in same), xlim[0]), xlim[1]) - xlim[0]) * scale
        end = (min(max(s.end for s in same), xlim[1]) - xlim[0]) * scale
        wide = text_width(text) + 0.12
        left = max(0.0, min(start, inner - wide))
        found.append((same, text, left))
        extents.append((min(left, start), max(end, left + wide) + 0.05))
    rows = pack(extents)
    return [_Placed(tuple(same), text, left, row) for (same, text, left), row in zip(found, rows, strict=True)]


def _strip(figure: Figure, layout: Layout, cell: _Cell, bottom: float) -> None:
    """Rows of bars above a panel, each fault named on its own time, or at the first of those of its name."""
    width, height = figure.get_size_inches()
    inner, high = layout.inner, cell.strip - 0.03
    ax = figure.add_axes((cell.left / width, bottom / height, inner / width, high / height))
    ax.set_xlim(layout.xlim)
    ax.set_ylim(high / STRIP_ROW, 0)
    ax.set_axis_off()
    scale = (layout.xlim[1] - layout.xlim[0]) / inner
    for each in cell.placed:
        for span in each.spans:
            start, end = max(span.start, layout.xlim[0]), min(span.end, layout.xlim[1])
            if span.fired:
                ax.barh(
                    each.row + 0.5,
                    max(end - start, 0.02 * scale),
                    left=start,
                    height=0.84,
                    color=FAULT,
                    alpha=0.42,
                    linewidth=0,
                )
        at = layout.xlim[0] + (each.left + 0.05) * scale
        ax.text(at, each.row + 0.52, each.text, va="center_baseline", fontsize=SMALL)
