"""The report as a folder of files that need no server, no script and no network.

`index.html` first, a page a run, `results.json` and `junit.xml`. Every page carries its styles and figures, so that one
file can be mailed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from netra_sim.reports import coverage, tables
from netra_sim.reports.frames import fault_name
from netra_sim.reports.junit import junit
from netra_sim.reports.result import Result, write_whole
from netra_sim.reports.results import results
from netra_sim.reports.runs import SEVERITY, Run, latest, worst

_TEMPLATES = Path(__file__).parent / "templates"
_OUTCOMES = ("fail", "unknown", "pass")


def build(runs: Path, reports: Path, catalogue: Mapping[str, Any], *, changed: bool = False) -> Path:
    """Write the report of the latest run of every scenario below `runs` into `reports`; answers its first page.

    With `changed`, pages that are newer than their run's result are left as they are: drawing takes seconds.
    """
    found = latest(runs)
    covered = coverage.coverage(catalogue, [run.result.data for run in found if run.result])
    write_whole(reports / "results.json", json.dumps(results(found, covered), indent=1, ensure_ascii=False) + "\n")
    write_whole(reports / "junit.xml", junit(found))
    drawn = [run for run in found if not (changed and _stands(run, reports / page_name(run.scenario)))]
    if drawn:
        with ProcessPoolExecutor(mp_context=get_context("spawn"), max_workers=os.cpu_count()) as pool:
            for run, text in zip(drawn, pool.map(page, drawn), strict=True):
                write_whole(reports / page_name(run.scenario), text)
    write_whole(reports / "index.html", index(found, coverage.rows(catalogue, covered)))
    return reports / "index.html"


def _stands(run: Run, file: Path) -> bool:
    """Whether the page was written after the run that it shows."""
    result = run.folder / "result.json"
    return result.exists() and file.exists() and file.stat().st_mtime > result.stat().st_mtime


def page_name(scenario: str) -> str:
    """The file of a scenario's page."""
    return scenario.replace("/", "-") + ".html"


def index(found: list[Run], rows: list[coverage.Row]) -> str:
    """The first page: verdicts and consequences, then what of the catalogue is proven and what is not."""
    lines = [line for row in rows for line in row.lines]
    return _render(
        "index.html.j2",
        verdict=worst(run.verdict for run in found),
        runs=found,
        counts={v: n for v in SEVERITY if (n := sum(run.verdict == v for run in found))},
        groups=coverage.tallies(rows, "group"),
        sources=coverage.tallies(rows, "source"),
        rows=rows,
        states={state: sum(line.state == state for line in lines) for state in ("proven", "failed", "open")},
    )


def page(run: Run) -> str:
    """A run's own page; a short one that says so when the run was aborted."""
    if run.result is None:
        return _render("aborted.html.j2", run=run)
    wide, narrow = _figures(run.result)
    anchors = {"checks", "controls", "provenance", *wide, *(f"figure-{name}" for name in wide)}
    anchors |= {"runbook"} if run.result.data["runbook"] else set()
    notebook = _notebook(run.result, anchors)
    return _render("run.html.j2", run=run, data=run.result.data, figures=wide, narrow=narrow, notebook=notebook)


def _figures(result: Result) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures by name, once for wide and once for narrow screens; none when the histories are not kept."""
    from netra_sim.reports import figures
    from netra_sim.reports.canvas import NARROW, WIDE

    if not (result.folder / result.data["history"]).exists():
        return {}, {}
    kept = [control for control in result.controls if (result.folder / control.data["history"]).exists()]
    sizes: list[dict[str, Any]] = []
    for width, letter in ((WIDE, "w"), (NARROW, "n")):
        compared = [figures.draw_control(result, control, width, f"{letter}{n}") for n, control in enumerate(kept)]
        drawn = [*figures.draw(result, width, letter), *filter(None, compared)]
        sizes.append({each.name: each for each in drawn})
    return sizes[0], sizes[1]


def _notebook(result: Result, anchors: set[str]) -> str:
    from netra_sim.reports import prose

    path = result.folder / "notebook.ipynb"
    return prose.render(path, anchors) if path.exists() else ""


def _render(template: str, **values: Any) -> str:
    import jinja2

    from netra_sim.reports import svg

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        {
            "seconds": _seconds,
            "moment": _moment,
            "worst_first": _worst_first,
            "inline": svg.inline,
            "plain": _plain,
            "prose": tables.prose,
        }
    )
    environment.globals.update(
        {"page_name": page_name, "label": tables.control_label, "suffered": tables.suffered, "fault_name": fault_name}
    )
    return environment.get_template(template).render(**values)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def _moment(text: str) -> str:
    """A time as people write it, in the zone it was recorded in; what is not ISO stays as it is."""
    try:
        return datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M %Z").strip()
    except ValueError:
        return text


def _worst_first(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(checks, key=lambda check: _OUTCOMES.index(check["outcome"]))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
