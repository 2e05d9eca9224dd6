"""A picture of what is happening, redrawn in place under JupyterLab; elsewhere there is none."""

from __future__ import annotations

import asyncio
import io
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEPT = 240  # ticks: the last two minutes


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether somebody watches in JupyterLab, which sets JPY_SESSION_NAME; papermill and nbval do not."""
    return bool(environment.get("JPY_SESSION_NAME")) and not environment.get("NETRA_PROGRESS")


class Live:
    """Takes events of a run or of a session of play, and draws when there is time for it."""

    def __init__(self) -> None:
        self.ticks: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.phases: dict[str, str] = {}
        self._due: asyncio.TimerHandle | None = None
        self._took = 0.0

    def note(self, event: Mapping[str, Any]) -> None:
        """Remember it."""
        if "tick" in event:
            self.ticks.append(event["tick"])
        elif "phase" in event:
            self.phases[event["trial"]] = event["phase"]

    def shown(self) -> Callable[[Mapping[str, Any]], None]:
        """A place in this cell's output for one picture; what is returned takes events and draws them there."""
        from IPython.display import HTML, display

        place: Any = display(HTML("<p>starting</p>"), display_id=True)

        def take(event: Mapping[str, Any]) -> None:
            self.note(event)
            self.soon(lambda: place.update(HTML(self.html())))

        return take

    def soon(self, draw: Callable[[], None]) -> None:
        """Draw once for all that comes meanwhile, and for half of the time at most: the notebook stays usable."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(self._took, self._draw, draw)

    def _draw(self, draw: Callable[[], None]) -> None:
        began, self._due = time.monotonic(), None
        draw()
        self._took = time.monotonic() - began

    def html(self) -> str:
        """The picture, how the platform sees itself, and the phase of every trial."""
        import base64

        words = escape(" · ".join(f"{trial}: {phase}" for trial, phase in self.phases.items()))
        if not self.ticks:
            return f"<p>{words}</p>"
        code = base64.b64encode(self.png()).decode()
        last = self.ticks[-1]
        picture = f'<img alt="{escape(said(last))}" width="720" src="data:image/png;base64,{code}">'
        return f"{picture}<p>{health(last)}</p>" + (f"<p>{words}</p>" if words else "")

    def png(self) -> bytes:
        """Rates by outcome above durations, faults shaded; always 720 x 300 pixels."""
        out = io.BytesIO()
        draw(list(self.ticks)).savefig(out, format="png", dpi=100)
        return out.getvalue()


def said(tick: Mapping[str, Any]) -> str:
    """A tick in words."""
    counts = totals(tick)
    struck = ", ".join(f"{f['kind']} on {f['target']}" for f in tick["faults"]) or "no fault"
    ended = f"{counts['ok']} ok, {counts['fail']} failed, {counts['unknown']} without an answer"
    return f"{tick['elapsed']:.0f} s, {tick['users']} users online, {struck}; last half second: {ended}"


def health(tick: Mapping[str, Any]) -> str:
    """As HTML: the worst level of service, and of each breaker, that a worker tells; what is not normal is bold."""
    if tick["level"] is None:
        return "no worker has told its state yet"
    told = [("service", tick["level"], "normal"), *((n, state, "closed") for n, state in tick["breakers"].items())]
    words = [escape(f"{name} {state.replace('_', ' ')}") for name, state, _ in told]
    level, *breakers = [
        word if state == usual else f"<b>{word}</b>" for word, (_, state, usual) in zip(words, told, strict=True)
    ]
    return f"{level}; breakers: {', '.join(breakers) or 'none used yet'}"


def totals(tick: Mapping[str, Any]) -> dict[str, int]:
    """Operations of all names by outcome."""
    each = tick["ops"].values()
    return {outcome: sum(counts[outcome] for counts in each) for outcome in ("ok", "fail", "unknown")}


def shades(ticks: Sequence[Mapping[str, Any]]) -> dict[int, tuple[float, float, str]]:
    """Each fault's first and last second in these ticks, with its name."""
    found: dict[int, tuple[float, float, str]] = {}
    for tick in ticks:
        for fault in tick["faults"]:
            began = found[fault["id"]][0] if fault["id"] in found else tick["elapsed"] - tick["interval"]
            found[fault["id"]] = (began, tick["elapsed"], f"{fault['kind']} {fault['target']}")
    return found


def draw(ticks: Sequence[Mapping[str, Any]]) -> Figure:
    """The figure of at least one tick."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    _rates(above, ticks)
    _durations(below, ticks)
    for number, (began, ended, name) in shades(ticks).items():
        for ax in (above, below):
            ax.axvspan(began, ended, color="#e69f00", alpha=0.22, linewidth=0)
        above.annotate(
            name, (began, 0.98 - 0.16 * (number % 3)), xycoords=("data", "axes fraction"), va="top", fontsize=7
        )
    first, last = ticks[0]["elapsed"] - ticks[0]["interval"], ticks[-1]["elapsed"]
    below.set_xlim(first, max(last, first + 10) + 0.3)
    below.set_xlabel("seconds", fontsize=8)
    return figure


def _rates(ax: Axes, ticks: Sequence[Mapping[str, Any]]) -> None:
    from netra_sim.reports.scatter import EDGE, FACE, HATCH, WORD

    at, base = [t["elapsed"] for t in ticks], [0.0] * len(ticks)
    for outcome in ("ok", "fail", "unknown"):
        rates = [totals(t)[outcome] / max(t["interval"], 0.001) for t in ticks]
        width = [-t["interval"] for t in ticks]
        ax.bar(at, rates, width, base, align="edge", color=FACE[outcome], edgecolor=EDGE[outcome],
               hatch=HATCH[outcome], linewidth=0.3, label=WORD[outcome])  # fmt: skip
        base = [low + rate for low, rate in zip(base, rates, strict=True)]
    ax.set_ylim(0, max(1.0, 1.1 * max(base)))
    ax.set_ylabel("operations/s", fontsize=8)
    ax.set_title(f"{ticks[-1]['users']} users online", fontsize=8, loc="left")
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), frameon=False, borderpad=0)


def _durations(ax: Axes, ticks: Sequence[Mapping[str, Any]]) -> None:
    from netra_sim.reports.scatter import EDGE

    found = [t for t in ticks if t["median_s"] is not None]
    at = [t["elapsed"] for t in found]
    ax.plot(at, [t["slowest_s"] for t in found], "v", color=EDGE["fail"], markersize=3, label="slowest")
    ax.plot(at, [t["median_s"] for t in found], "o-", color=EDGE["ok"], markersize=2, linewidth=0.8, label="median")
    ax.set_ylim(0, 1.3 * max((t["slowest_s"] for t in found), default=1.0))
    ax.set_ylabel("duration, s", fontsize=8)
    ax.tick_params(labelsize=7)
    ax.legend(fontsize=7, ncols=2, loc="upper left", frameon=False, borderpad=0)
