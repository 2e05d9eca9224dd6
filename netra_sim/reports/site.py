"""The report as a folder of files that need no server, no script and no network.

`index.html` first, a page a run, `results.json` and `junit.xml`. Every page carries its styles and figures; all of them
can be had as one file that can be mailed.
"""

from __future__ import annotations

import gc
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from netra_sim.reports import balance, coverage, difference, grid, onefile, stored, tables, words
from netra_sim.reports.exploration import Exploration, exploration
from netra_sim.reports.frames import fault_name
from netra_sim.reports.junit import junit
from netra_sim.reports.pairs import Pair, pair
from netra_sim.reports.result import FILE, Control, Result, write_whole
from netra_sim.reports.results import results
from netra_sim.reports.runs import SEVERITY, Run, latest, set_name, worst

_TEMPLATES = Path(__file__).parent / "templates"
_OUTCOMES = ("fail", "unknown", "pass")


def build(runs: Path, reports: Path, catalogue: Mapping[str, Any], *, changed: bool = False) -> Path:
    """Write the report of the latest runs below `runs` into `reports`; answers its first page.

    The latest of every scenario and parameter set counts. With `changed`, pages that are newer than their run's result
    are left as they are: drawing takes seconds.
    """
    found = latest(runs)
    covered = coverage.coverage(catalogue, [run.result.data for run in found if run.result])
    write_whole(reports / "results.json", json.dumps(results(found, covered), indent=1, ensure_ascii=False) + "\n")
    write_whole(reports / "junit.xml", junit(found))
    drawn = [run for run in found if not (changed and _stands(run, reports / run.page))]
    if drawn:
        with ProcessPoolExecutor(mp_context=get_context("spawn"), max_workers=os.cpu_count()) as pool:
            for run, text in zip(drawn, pool.map(page, drawn), strict=True):
                write_whole(reports / run.page, text)
    first = index(found, coverage.rows(catalogue, covered), _measured(reports), _explored(reports))
    write_whole(reports / "index.html", first)
    return reports / "index.html"


def single_file(runs: Path, reports: Path, catalogue: Mapping[str, Any], file: Path) -> Path:
    """Write the report, and all of its pages once more as the one `file`, which can be mailed; answers that file."""
    first = build(runs, reports, catalogue)
    pages = {run.page: (reports / run.page).read_text(encoding="utf-8") for run in latest(runs)}
    write_whole(file, onefile.join(first.read_text(encoding="utf-8"), pages))
    return file


def _stands(run: Run, file: Path) -> bool:
    """Whether the page was written after the results that it shows: of its run, and of the one before."""
    shown = [run.result, run.before]
    results = [result.folder / FILE for result in shown if result]
    return bool(run.result) and file.exists() and all(file.stat().st_mtime > r.stat().st_mtime for r in results)


def _measured(reports: Path) -> list[dict[str, Any]]:
    """The figures of bench.json, where there is one."""
    file = reports / "bench.json"
    return list(json.loads(file.read_text(encoding="utf-8"))["figures"]) if file.exists() else []


def _explored(reports: Path) -> Exploration | None:
    """What exploration has found, where there was one."""
    file = reports / "explore.json"
    return exploration(file) if file.exists() else None


def index(
    found: list[Run],
    rows: list[coverage.Row],
    measured: Sequence[Mapping[str, Any]] = (),
    explored: Exploration | None = None,
) -> str:
    """The first page: verdicts and what they mean, the revenue, every run, and what of the catalogue is proven."""
    lines = [line for row in rows for line in row.lines]
    checks = [check for run in found if run.result for check in run.result.data["checks"]]
    return _render(
        "index.html.j2",
        verdict=worst(run.verdict for run in found),
        scenarios=grid.scenarios(found),
        counts={v: n for v in SEVERITY if (n := sum(run.verdict == v for run in found))},
        runs=found,
        checks=checks,
        grid=grid.grid(found),
        measured=measured,
        explored=explored,
        groups=coverage.tallies(rows, "group"),
        sources=coverage.tallies(rows, "source"),
        rows=rows,
        states={state: sum(line.state == state for line in lines) for state in ("proven", "failed", "open")},
        not_proven=_not_proven(found),
    )


def _not_proven(found: list[Run]) -> dict[str, list[str]]:
    """By sentence, the scenarios that say it of themselves."""
    said: dict[str, list[str]] = {}
    for name, runs in grid.scenarios(found).items():
        for line in dict.fromkeys(line for run in runs if run.result for line in run.result.data["not_proven"]):
            said.setdefault(line, []).append(name)
    return said


def page(run: Run) -> str:
    """A run's own page; a short one that says so when the run was aborted."""
    if run.result is None:
        return _render("aborted.html.j2", run=run, command=_command(run))
    with _undisturbed():
        return _page(run, run.result)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No collection of garbage meanwhile: going through all that was loaded again and again is a tenth of a page."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _page(run: Run, result: Result) -> str:
    compared = _pairs(result)
    wide, narrow = _figures(result, compared)
    anchors = {"checks", "controls", "provenance", *wide, *(f"figure-{name}" for name in wide)}
    anchors |= {"runbook"} if result.data["runbook"] else set()
    notebook = _notebook(result, anchors)
    balances = {c.data["name"]: balance.balance(both, c.data) for c, both in compared}
    before = difference.difference(run.before, result) if run.before else None
    return _render(
        "run.html.j2", run=run, data=result.data, figures=wide, narrow=narrow, notebook=notebook,
        difference=before, load=_load(result), balances=balances,
    )  # fmt: skip


def _load(result: Result) -> str:
    return words.load(result.history) if _kept(result, result.data["history"]) else ""


def _kept(result: Result, history: str) -> bool:
    return (result.folder / history).exists()


def _pairs(result: Result) -> list[tuple[Control, Pair]]:
    """The run with each of its controls, where both histories are kept."""
    if not _kept(result, result.data["history"]):
        return []
    kept = [control for control in result.controls if _kept(result, control.data["history"])]
    return [(control, pair(result.history, control.history)) for control in kept]


def _figures(result: Result, compared: list[tuple[Control, Pair]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures by name, once for wide and once for narrow screens; none when the histories are not kept."""
    from netra_sim.reports import figures
    from netra_sim.reports.canvas import NARROW, WIDE

    if not _kept(result, result.data["history"]):
        return {}, {}
    sizes: list[dict[str, Any]] = []
    for width, done in ((WIDE, stored.figures(result.folder / "notebook.ipynb")), (NARROW, {})):
        beside = [figures.draw_control(both, control, width, done) for control, both in compared]
        drawn = [*figures.draw(result, width, done), *filter(None, beside)]
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
            "duration": difference.duration,
            "figure": _figure,
            "samples": _samples,
            "set_name": set_name,
        }
    )
    environment.globals.update(
        {
            "label": tables.control_label,
            "suffered": tables.suffered,
            "fault_name": fault_name,
            "meaning": words.meaning,
            "worst": worst,
        }
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


def _figure(value: Any) -> str:
    """A measured figure with four digits; text as it is."""
    return f"{value:,.4g}" if isinstance(value, int | float) else _plain(value)


def _samples(value: Any) -> str:
    """How many samples, and between which they lay where all are told."""
    if isinstance(value, list) and value and all(isinstance(each, int | float) for each in value):
        return f"{len(value)}, from {_figure(min(value))} to {_figure(max(value))}"
    return _plain(value)


def _command(run: Run) -> str:
    """What runs an aborted run again: its set's name tells the parameters."""
    words = f"nox -s scenarios -- --only {run.scenario} --seed {run.seed}"
    sets = [each for each in run.variant.split(",") if "=" in each and not each.startswith("seed=")]
    return words + "".join(f" --set {shlex.quote(each)}" for each in sets)
