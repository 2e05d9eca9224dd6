"""The figures that an executed notebook holds: what a kernel has drawn need not be drawn again for the page."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from typing import Any

_IMAGE = re.compile(r'<img alt="([^"]*)" style="max-width:100%" src="data:image/svg\+xml;base64,([^"]+)">')


def image(alt: str, svg: str) -> str:
    """A figure as HTML that stands alone, wherever a notebook is shown."""
    code = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{escape(alt)}" style="max-width:100%" src="data:image/svg+xml;base64,{code}">'


def figures(notebook: Path) -> dict[str, tuple[str, str]]:
    """By its part of the report, each figure's alternative text and SVG; nothing where there is no notebook."""
    if not notebook.exists():
        return {}
    found = {}
    for output in _outputs(json.loads(notebook.read_text(encoding="utf-8"))):
        part = output.get("metadata", {}).get("netra_sim", {}).get("part")
        if part and (seen := _IMAGE.search("".join(output["data"].get("text/html", "")))):
            found[part] = unescape(seen[1]), base64.b64decode(seen[2]).decode()
    return found


def _outputs(book: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What cells display or answer."""
    for cell in book["cells"]:
        yield from (output for output in cell.get("outputs", ()) if "data" in output)
