"""An executed notebook as an HTML fragment without code, for the page that already shows the result's parts."""

from __future__ import annotations

import re
from collections.abc import Collection
from html import escape
from pathlib import Path
from typing import Any

_LEFT_OUT = {"interactive", "parameters"}
_HEADING = re.compile(r"<(/?)h([1-4])(?:\s[^>]*)?>")
_NAMES = {
    "figure-latency": "Figure: latency",
    "figure-throughput": "Figure: throughput",
    "figure-sequence": "Figure: one run",
    "figure-quantiles": "Figure: time to answer over time",
    "figure-states": "Figure: state of the platform",
    "figure-waterfall": "Figure: the way to the first answer",
    "figure-users": "Figure: users online and time to answer",
}


def render(path: Path, anchors: Collection[str] = ()) -> str:
    """The notebook's text and outputs; parts that the page has already, at `anchors`, become links to them."""
    import nbformat
    from nbconvert import HTMLExporter

    book = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    book.cells = [_cell(cell, anchors) for cell in book.cells if not _LEFT_OUT & set(cell.metadata.get("tags", ()))]
    options = {"exclude_input": True, "exclude_output_prompt": True, "exclude_anchor_links": True}
    exporter = HTMLExporter(template_name="basic", **options)  # type: ignore[no-untyped-call]
    body, _ = exporter.from_notebook_node(book)
    return _HEADING.sub(lambda m: f"<{m[1]}h{int(m[2]) + 2}>", str(body)).strip()


def _cell(cell: Any, anchors: Collection[str]) -> Any:
    if cell.cell_type == "code":
        cell.outputs = [_output(output, anchors) for output in cell.outputs]
    return cell


def _output(output: Any, anchors: Collection[str]) -> Any:
    from nbformat.v4 import new_output

    if output.output_type == "error":
        return _html(
            f"<p class='cell-error'><strong>{escape(output.ename)}</strong>: {escape(output.evalue)}</p>", new_output
        )
    part = output.get("metadata", {}).get("netra_sim", {}).get("part")
    if part not in anchors:
        return output
    name = _NAMES.get(part, part.replace("-", " ").capitalize())
    return _html(f'<p class="see"><a href="#{escape(part)}">{escape(name)}</a>, above</p>', new_output)


def _html(text: str, new_output: Any) -> Any:
    return new_output("display_data", data={"text/html": text})
