"""A figure as small, reproducible SVG: real text in the reader's sans serif, no date, a label for screen readers.

Text as text is an eighth of text as outlines, can be searched and read aloud, and needs no font to be shipped.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SOFT, GRID, PAPER = "#1f2933", "#5b6673", "#dde2e8", "#ffffff"
_THEME = {INK: "ink", SOFT: "soft", GRID: "grid", PAPER: "paper"}
# Laid out in DejaVu Sans, the widest of these, so that text in any other of them is never cut off.
_FAMILY = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif"
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
_NUMBER = re.compile(r"-?\d+\.\d+")


def render(figure: Figure, prefix: str = "f") -> str:
    """The figure as an `<svg>` element with its alternative text; ids begin with `prefix`, unique on a page."""
    import matplotlib

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "netra_sim"}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    root = ET.fromstring(buffer.getvalue())
    _slim(root)
    _rename(root, prefix)
    _name(root, str(figure.get_label()))
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return re.sub(r">\s+<", "><", ET.tostring(root, encoding="unicode")).strip() + "\n"


def inline(svg: str) -> str:
    """The SVG for an HTML page: it takes the page's font and its `--fig-ink/soft/grid/paper` colours."""
    for colour, name in _THEME.items():
        svg = svg.replace(f": {colour}", f": var(--fig-{name},{colour})")
    return svg.replace(f"font-family:{_FAMILY};", "").replace("xlink:href", "href").strip()


def _name(root: ET.Element, alt: str) -> None:
    root.set("role", "img")
    root.set("aria-label", alt)
    root.set("style", f"font-family:{_FAMILY};stroke-linejoin:round")


def _slim(root: ET.Element) -> None:
    for parent, child in list(_pairs(root)):
        if child.tag == f"{{{_SVG}}}style":
            parent.remove(child)
    for parent, child in _pairs(root):
        digits = 2 if parent.tag == f"{{{_SVG}}}defs" else 1
        for key in ("d", "x", "y", "transform"):
            if key in child.attrib:
                child.set(key, _round(child.get(key, ""), digits))
        if child.get("transform", "").startswith("rotate(-0 "):
            del child.attrib["transform"]
        if child.tag == f"{{{_SVG}}}text":
            child.set("style", re.sub(r"font-family:[^;]*;?\s*", "", child.get("style", "")))
    for group in root.iter(f"{{{_SVG}}}g"):
        _hoist(group)


def _hoist(group: ET.Element) -> None:
    """Say once on the group what all its markers say; that halves a scatter plot."""
    styles = {child.get("style") for child in group}
    if len(styles) == 1 and len(group) > 1 and all(child.tag == f"{{{_SVG}}}use" for child in group):
        group.set("style", styles.pop() or "")
        for child in group:
            del child.attrib["style"]


def _rename(root: ET.Element, prefix: str) -> None:
    """Drop ids that nothing refers to and shorten the others."""
    text = ET.tostring(root, encoding="unicode")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    short = {old: f"{prefix}{n}" for n, old in enumerate(sorted(used))}
    for element in root.iter():
        old = element.attrib.pop("id", None)
        if old in short:
            element.set("id", short[old])
        if _HREF in element.attrib:
            element.set(_HREF, "#" + short[element.get(_HREF, "#")[1:]])
        for key, value in element.attrib.items():
            if "url(#" in value:
                element.set(key, re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{short[m[1]]})", value))


def _pairs(root: ET.Element) -> Iterator[tuple[ET.Element, ET.Element]]:
    return ((parent, child) for parent in root.iter() for child in parent)


def _round(text: str, digits: int) -> str:
    rounded = _NUMBER.sub(lambda m: f"{float(m[0]):.{digits}f}".rstrip("0").rstrip("."), text)
    return re.sub(r"\s+", " ", rounded).strip()
