"""The waterfall of a cold start: what was waited for, one below the other, with limit and goal."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from netra_sim.kernel.history import History
from netra_sim.reports import coldstart, frames
from netra_sim.reports.alt import empty, struck
from netra_sim.reports.canvas import LEFT, SMALL, WIDE, Layout, build, duration, fit, style, text_width, time_axis
from netra_sim.reports.coldstart import Part, Stage, Way
from netra_sim.reports.scatter import EDGE, FACE
from netra_sim.reports.svg import INK, PAPER, SOFT

_LOOK: dict[Stage, tuple[str, str, str]] = {
    "service": ("#0072b2", "", "a service starts"),
    "user": ("#f0c36d", "////", "a step of the first user"),
    "agent": ("#a9d6f3", "", "an agent of his run"),
}
_FAILED = "xxxx"
_PATCH = {"facecolor": PAPER, "linewidth": 0, "pad": 0.6}  # a line behind a text is not read as part of it
_ROW, _GAP, _NEAR, _LABEL = 0.19, 0.09, 2.5, 1.1


def waterfall(history: History, limit: float | None = None, goal: float | None = None, width: float = WIDE) -> Figure:
    """Services, the first user's steps and his run's agents on one time axis; `limit` and `goal` (seconds) drawn."""
    way = coldstart.way(history)
    with style():
        if way is None:
            return empty(width, "No service was started in this run")
        last = max(part.end for part in way.parts)
        marks = [(name, at) for name, at in (("goal", goal), ("limit", limit)) if at is not None]
        near = [(name, at) for name, at in marks if at <= _NEAR * last]
        far = [f"{name} {duration(at)}" for name, at in marks if at > _NEAR * last]
        near += [("first answer", way.total)] if way.total is not None else []
        left = max(LEFT, *(text_width(_label(part)) + 0.14 for part in way.parts))
        room = text_width("99.9 ms") + 0.12
        end = max([last * (1 + room / (width - left - 0.18 - room)), *(at * 1.02 for _, at in near)])
        placed = _place(near, end, width - left - 0.18)
        high = _tops(way.parts)[-1] + _ROW + 0.06 + _ROW * (1 + max((row for *_, row in placed), default=-1))
        keys = _keys(way.parts)
        spans = tuple(s for s in frames.spans(history) if s.start < end)
        notes = (_note(way, far),)
        layout = Layout(width, _heading(way), (high,), (0.0, end), spans, (keys,), notes, left=left, shade=0.1)
        figure, (ax,) = build(layout)
        _draw(ax, way.parts, high)
        _draw_marks(ax, placed, high)
        time_axis([ax], "seconds since nothing ran")
    figure.set_label(_alt(way, marks) + f" {struck(spans)}")
    return figure


def _heading(way: Way) -> str:
    return "From nothing to the first answer" + (f": {duration(way.total)}" if way.total is not None else "")


def _note(way: Way, far: Sequence[str]) -> str:
    longest = max(way.parts, key=lambda part: part.end - part.start)
    text = f"The longest part: {longest.name}, {duration(longest.end - longest.start)}."
    text = text if way.total is not None else f"No question was answered. {text}"
    return f"{text} Beyond the right edge: {', '.join(far)}." if far else text


def _label(part: Part) -> str:
    return fit(part.name, _LABEL)


def _tops(parts: Sequence[Part]) -> list[float]:
    """The top of each bar in inches, with a gap between stages."""
    gaps = [n > 0 and part.stage != parts[n - 1].stage for n, part in enumerate(parts)]
    return [n * _ROW + _GAP * sum(gaps[: n + 1]) for n in range(len(parts))]


def _draw(ax: Axes, parts: Sequence[Part], high: float) -> None:
    tops, least = _tops(parts), ax.get_xlim()[1] * 0.002
    for n, (part, top) in enumerate(zip(parts, tops, strict=True)):
        face, hatch, _ = _LOOK[part.stage]
        bad = part.outcome == "fail"
        ax.barh(
            top + _ROW / 2, max(part.end - part.start, least), left=part.start, height=_ROW * 0.66,
            facecolor=FACE["fail"] if bad else face, edgecolor=EDGE["fail"] if bad else INK,
            hatch=_FAILED if bad else hatch,
            linewidth=0.4, linestyle="-" if part.closed else (0, (2, 2)), alpha=None if part.closed else 0.6, zorder=2,
        )  # fmt: skip
        text = duration(part.end - part.start) if part.closed else "no end seen"
        ax.annotate(
            text, (part.end, top + _ROW / 2), (4, 0), textcoords="offset points", va="center_baseline",
            fontsize=SMALL - 0.5, color=SOFT, zorder=4, bbox=_PATCH,
        )  # fmt: skip
        if n and part.stage != parts[n - 1].stage:
            ax.axhline(top - _GAP / 2, color=SOFT, alpha=0.35, linewidth=0.5, zorder=0)
    ax.set_ylim(high, -0.04)
    ax.set_yticks([top + _ROW / 2 for top in tops], [_label(part) for part in parts])
    ax.grid(visible=False)
    ax.grid(visible=True, axis="x")


def _place(marks: Sequence[tuple[str, float]], end: float, inner: float) -> list[tuple[str, float, float, int]]:
    """Each mark's text, its time, the text's left edge in inches and its row below the bars."""
    found, extents = [], []
    for name, at in sorted(marks, key=lambda mark: mark[1]):
        text = f"{name} {duration(at)}"
        wide = text_width(text) + 0.1
        x = at / end * inner
        left = x if x + wide <= inner else x - wide
        found.append((text, at, left))
        extents.append((left, left + wide))
    return [(*each, row) for each, row in zip(found, frames.pack(extents), strict=True)]


def _draw_marks(ax: Axes, placed: Sequence[tuple[str, float, float, int]], high: float) -> None:
    """Lines at goal, limit and first answer, named below the bars."""
    rows = 1 + max((row for *_, row in placed), default=-1)
    for text, at, left, row in placed:
        answer = text.startswith("first answer")
        dashes = "-" if answer else (0, (4, 2)) if text.startswith("limit") else (0, (1, 1.5))
        ax.axvline(at, color=INK, linewidth=1.1 if answer else 1.0, linestyle=dashes, zorder=3)
        inner = ax.get_position().width * ax.get_figure().get_figwidth()  # type: ignore[union-attr]
        x = (left + 0.05) / inner
        y = 1 - (high - _ROW * (rows - row - 0.5)) / (high + 0.04)
        ax.annotate(
            text, (x, y), xycoords="axes fraction", va="center_baseline", fontsize=SMALL - 0.5, color=INK, zorder=4
        )


def _keys(parts: Sequence[Part]) -> list[Artist]:
    used = {part.stage for part in parts}
    looks = [(face, INK, hatch, label) for stage, (face, hatch, label) in _LOOK.items() if stage in used]
    if any(part.outcome == "fail" for part in parts):
        looks.append((FACE["fail"], EDGE["fail"], _FAILED, "failed"))
    return [Patch(facecolor=f, edgecolor=e, hatch=h, linewidth=0.4, label=label) for f, e, h, label in looks]


def _alt(way: Way, marks: Sequence[tuple[str, float]]) -> str:
    parts = "; ".join(f"{p.name} {p.start:.2f} to {p.end:.2f} s" for p in way.parts)
    told = "no question was answered" if way.total is None else f"the first answer came after {duration(way.total)}"
    against = "".join(f", {name} {duration(at)}" for name, at in marks)
    return f"Waterfall from nothing to the first answer: {told}{against}. {parts}."
