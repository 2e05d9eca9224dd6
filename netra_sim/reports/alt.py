"""Figures in words: what a figure's alternative text says of its operations and its faults."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from matplotlib.figure import Figure

from netra_sim.reports.canvas import Layout, build, duration
from netra_sim.reports.frames import OUTCOMES, Point, Span
from netra_sim.reports.scatter import WORD


def figure_alt(figure: Figure) -> str:
    """The figure's alternative text."""
    return str(figure.get_label())


def counts(found: Sequence[Point]) -> str:
    """How many operations ended how."""
    count = Counter(p.outcome for p in found)
    return ", ".join(f"{count[o]:,} {WORD[o]}" for o in OUTCOMES)


def told(found: Sequence[Point]) -> str:
    """How many operations ended how, with median and slowest of those that succeeded."""
    answered = [p.seconds for p in found if p.outcome == "ok"]
    if not answered:
        return f"{counts(found)}."
    middle, slowest = statistics.median(answered), max(answered)
    return f"{counts(found)}; of those ok the median is {duration(middle)}, the slowest {duration(slowest)}."


def struck(spans: Sequence[Span]) -> str:
    """The faults with their times; of several of one name the first, the last and their number."""
    groups: dict[tuple[str, bool], list[Span]] = {}
    for span in spans:
        groups.setdefault((span.name, span.fired), []).append(span)
    parts = [_fault(name, fired, same) for (name, fired), same in groups.items()]
    return f"Faults: {'; '.join(parts)}." if parts else "No fault was planned."


def empty(width: float, text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure, (ax,) = build(Layout(width, text, (0.3,), (0.0, 1.0)))
    ax.set_axis_off()
    figure.set_label(text + ".")
    return figure


def _fault(name: str, fired: bool, same: Sequence[Span]) -> str:
    if not fired:
        return f"{name} never fired"
    times = f" {len(same)} times" if len(same) > 1 else ""
    return f"{name}{times} from {min(s.start for s in same):.1f} to {max(s.end for s in same):.1f} s"
