"""What a notebook's cells call: `show(result).verdicts()`, one expression a cell.

Each answer draws itself in a notebook and reads as plain text elsewhere; its output's metadata names the part of the
report it is, so that the site does not print it twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from netra_sim.reports import balance, tables
from netra_sim.reports.pairs import pair
from netra_sim.reports.result import Result
from netra_sim.reports.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """HTML in a notebook, text in a terminal; `part` is its anchor on the run's page, if it has one."""

    part: str
    html: str
    text: str

    def __repr__(self) -> str:
        """The plain text."""
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        metadata = {"netra_sim": {"part": self.part}} if self.part else {}
        return {"text/html": self.html, "text/plain": self.text}, metadata


@dataclass(frozen=True, slots=True)
class View:
    """A result's tables and figures, each a cell's one expression."""

    result: Result

    def verdicts(self) -> Shown:
        """Check, expectation and verdict; the same for every run of one seed."""
        return _table("checks", tables.verdicts(self.result.data))

    def controls(self) -> Shown:
        """What broke without the protection, and which checks noticed."""
        return _table("controls", tables.controls(self.result.data))

    def provenance(self) -> Shown:
        """Seed, versions, servers and the command that runs it again."""
        return _table("provenance", tables.provenance(self.result.data))

    def runbook(self) -> Shown:
        """What an operator does, step by step."""
        steps = [str(step) for step in self.result.data["runbook"]]
        html = "<ol>" + "".join(f"<li>{tables.prose(step)}</li>" for step in steps) + "</ol>"
        return Shown("runbook", html, "\n".join(f"{n}. {step}" for n, step in enumerate(steps, start=1)))

    def latency(self) -> Shown:
        """Every operation's duration over time, faults shaded."""
        from netra_sim.reports import plots

        return _figure("figure-latency", plots.latency(self.result.history))

    def throughput(self) -> Shown:
        """Operations a second by outcome, faults shaded."""
        from netra_sim.reports import plots

        return _figure("figure-throughput", plots.throughput(self.result.history))

    def sequence(self, run_id: str | None = None) -> Shown:
        """One run's events in lanes; by default one that lived through a fault."""
        from netra_sim.reports import plots

        part = "figure-sequence" if run_id is None else ""
        return _figure(part, plots.sequence(self.result.history, run_id))

    def quantiles(self, *names: str) -> Shown:
        """Median and extremes of each step of time, by default of the main operations."""
        from netra_sim.reports import figures

        return _figure("" if names else "figure-quantiles", figures.quantiles_of(self.result, names))

    def states(self) -> Shown:
        """Degradation level, breakers, connections in use, sockets and runs over time."""
        from netra_sim.reports import states

        return _figure("figure-states", states.states(self.result.history))

    def waterfall(self) -> Shown:
        """From nothing running to the first answer, part by part, with limit and goal."""
        from netra_sim.reports import figures

        return _figure("figure-waterfall", figures.waterfall_of(self.result))

    def users(self, *others: Result, f: str = "chat") -> Shown:
        """Users online against durations; `others` are up to four results of other sizes on the same axes."""
        from netra_sim.reports import figures

        part = "figure-users" if not others and f == "chat" else ""
        return _figure(part, figures.users_of([self.result, *others], f))

    def compare(self, control: str, f: str | None = None) -> Shown:
        """The run beside a control on the same axes, and what the protection cost and saved.

        `f` is by default the operation that the control hurt most.
        """
        from netra_sim.reports import figures, plots

        other = self.result.control(control)
        both = pair(self.result.history, other.history)
        chosen = f or figures.hurt(both) or figures.main(both) or "chat"
        part = f"compare-{control}" if f is None else ""
        picture = _figure(part, plots.compare(both, chosen, balance.labels(other.data)))
        told = balance.balance(both, other.data)
        below = [escape(told.basis), *(table.html() for table in balance.tables(told))]
        below += [escape(note) for note in (told.machine, told.same) if note]
        html = "".join(each if each.startswith("<table") else f"<p>{each}</p>" for each in below)
        return Shown(part, picture.html + html, f"{picture.text}\n\n{balance.text(told)}")


def show(result: Result) -> View:
    """The views of a result, for a notebook's cells."""
    return View(result)


def _table(part: str, table: Table) -> Shown:
    return Shown(part, table.html(), table.text())


def _figure(part: str, figure: Figure) -> Shown:
    from netra_sim.reports import figures, plots, stored, svg

    alt = plots.figure_alt(figure)
    return Shown(part, stored.image(alt, svg.render(figure, figures.prefix(part))), alt)
