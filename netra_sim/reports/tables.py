"""A result's tables, as plain text for a terminal and as HTML for a notebook cell."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

MARKS = {"pass": "✓ pass", "fail": "✗ fail", "unknown": "? unknown", "aborted": "■ aborted"}
_COLOURS = {"pass": "#00795a", "fail": "#c04a00", "unknown": "#8a6500", "aborted": "#6b7280"}
_CELL = "text-align:left;vertical-align:top;white-space:normal"


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, headers and rows of text; a cell that is a verdict's word is marked as one."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self, widest: int = 56) -> str:
        """Aligned columns, long cells wrapped at `widest` characters."""
        rows = [[_wrap(MARKS.get(cell, cell), widest) for cell in row] for row in (self.headers, *self.rows)]
        widths = [max(len(line) for row in rows for line in row[i]) for i in range(len(self.headers))]
        lines = [_line(row, n, widths) for row in rows for n in range(max(map(len, row)))]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([self.caption, "", *lines])

    def html(self) -> str:
        """A table with header cells and a caption; styles inline, since a notebook keeps no style sheet."""
        head = "".join(f'<th scope="col" style="{_CELL}">{escape(h)}</th>' for h in self.headers)
        body = "".join(f"<tr>{_cells(row)}</tr>" for row in self.rows)
        caption = f'<caption style="text-align:left;font-weight:bold">{escape(self.caption)}</caption>'
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def verdicts(data: Mapping[str, Any]) -> Table:
    """Check, expectation and verdict: no time and no count, so that two runs of one seed show the same."""
    rows = tuple((c["check"], c["expected"], c["outcome"]) for c in data["checks"])
    return Table(f"Verdict: {data['verdict']}", ("check", "expected", "verdict"), rows)


def controls(data: Mapping[str, Any]) -> Table:
    """What was taken away or put in, which checks that broke, and what a user would have suffered."""
    rows = tuple(_control_row(control) for control in data["controls"])
    headers = ("control", "made to fail", "what a user would have suffered", "convicts")
    return Table("The same run, seed and faults, with the protection broken", headers, rows)


def provenance(data: Mapping[str, Any]) -> Table:
    """Everything needed to run it again."""
    parts = [("seed", data["seed"]), ("time scale", data["time_scale"]), *data["parameters"].items()]
    parts += [("started", data["started"]), ("commit", data.get("commit") or "not recorded")]
    if judged := data.get("judged"):
        parts += [("judged again", f"{judged['time']}, commit {judged['commit'] or 'not recorded'}")]
    parts += [*data["servers"].items(), *data["versions"].items(), ("run again", data["command"])]
    return Table("Provenance", ("what", "value"), tuple((str(k), str(v)) for k, v in parts))


def control_label(control: Mapping[str, Any]) -> str:
    """A control in words: `Without deadline`, `With the defect ack before commit`, else its name: `Slow edge`."""
    if control.get("without"):
        return "Without " + " and ".join(map(_words, control["without"]))
    if control.get("defect"):
        return "With the defect " + _words(str(control["defect"]).rpartition(":")[2])
    return _words(control["name"]).capitalize()


def prose(text: str) -> str:
    """Text as HTML, escaped, in which `backticks` mark code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def suffered(control: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The verdicts that the control broke, the expected ones first."""
    expected = set(control["expected"])
    broken = [c for c in control["checks"] if c["check"] in control["failed"]]
    return sorted(broken, key=lambda c: c["check"] not in expected)


def _control_row(control: Mapping[str, Any]) -> tuple[str, ...]:
    observed = "; ".join(c["observed"] for c in suffered(control)) or "nothing: no check noticed"
    label = f"{control_label(control)}. {control['why']}"
    return label, ", ".join(control["failed"]) or "none", observed, "yes" if control["convicts"] else "NO"


def _words(name: str) -> str:
    return name.replace("_", " ").replace("-", " ")


def _wrap(text: str, widest: int) -> list[str]:
    return textwrap.wrap(text, widest) or [""]


def _line(row: list[list[str]], number: int, widths: list[int]) -> str:
    cells = (cell[number] if number < len(cell) else "" for cell in row)
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cells(row: tuple[str, ...]) -> str:
    first = f'<th scope="row" style="{_CELL}">{escape(row[0])}</th>'
    return first + "".join(map(_cell, row[1:]))


def _cell(text: str) -> str:
    return f'<td style="{_CELL}{_colour(text)}">{escape(MARKS.get(text, text))}</td>'


def _colour(cell: str) -> str:
    return f";white-space:nowrap;font-weight:bold;color:{_COLOURS[cell]}" if cell in MARKS else ""
