"""Figures out of an executed notebook: just what drawing them again would give."""

import json

from netra_sim.reports import figures, site, stored
from netra_sim.reports.notebook import show
from netra_sim.reports.result import Result
from netra_sim.reports.runs import latest
from tests.unit.reports import sample


def executed(folder, *shown):
    """A notebook whose cells answered these."""
    outputs = []
    for each in shown:
        data, metadata = each._repr_mimebundle_()
        outputs.append({"output_type": "execute_result", "data": data, "metadata": metadata, "execution_count": 1})
    cells = [{"cell_type": "markdown", "source": "", "metadata": {}}]
    cells += [
        {"cell_type": "code", "source": "x", "metadata": {}, "outputs": [out], "execution_count": 1} for out in outputs
    ]
    book = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    (folder / "notebook.ipynb").write_text(json.dumps(book))
    return folder / "notebook.ipynb"


def test_what_a_cell_showed_is_what_would_be_drawn(tmp_path):
    folder = sample.write_run(tmp_path, sample.result(), users=3, notebook=False)
    view = show(Result.load(folder / "result.json"))
    shown = view.verdicts(), view.latency(), view.throughput(), view.sequence("run-1")
    found = stored.figures(executed(folder, *shown))
    # One run of somebody's choice is no part of the page.
    assert sorted(found) == ["figure-latency", "figure-throughput"]
    again = {each.name: each for each in figures.draw(view.result)}
    for name in ("latency", "throughput"):
        assert found[f"figure-{name}"] == (again[name].alt, again[name].svg)


def test_the_page_takes_the_wide_figure_from_the_notebook(tmp_path):
    folder = sample.write_run(tmp_path, sample.result(), users=3, notebook=False)
    shown = show(Result.load(folder / "result.json")).latency()
    marked = stored.image(
        "the kernel's own", '<svg xmlns="http://www.w3.org/2000/svg"><desc>of the kernel</desc></svg>'
    )
    executed(folder, type(shown)(shown.part, marked, ""))
    page = site.page(latest(tmp_path)[0])
    assert page.count("of the kernel") == 1 and page.count('id="figure-latency"') == 1


def test_without_a_notebook_there_is_none(tmp_path):
    assert stored.figures(tmp_path / "notebook.ipynb") == {}
