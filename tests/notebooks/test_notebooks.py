"""A notebook is a question: thin cells, every parameter of its scenario, the verdict last."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from netra_sim.scenarios import registry
from netra_sim.scenarios.sweep import plan

ROOT = Path(__file__).parents[2] / "notebooks"
TOUR, EXPLORATION = ROOT / "00_tour.ipynb", ROOT / "platform/exploration.ipynb"
# JupyterLab keeps copies in a hidden folder.
NOTEBOOKS = [path for path in sorted(ROOT.glob("[!.]*/*.ipynb")) if path != EXPLORATION]


def book(path):
    return nbformat.read(path, nbformat.NO_CONVERT)


def tagged(path, tag):
    return [c for c in book(path).cells if tag in c.metadata.get("tags", [])]


def test_every_scenario_has_its_notebook():
    assert {f"{p.parent.name}/{p.stem}" for p in NOTEBOOKS} == set(registry.scenarios())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: f"{p.parent.name}/{p.stem}")
class TestEveryNotebook:
    def test_its_parameters_are_the_scenarios_with_the_same_defaults(self, path):
        (cell,) = tagged(path, "parameters")
        given = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell.source).body}
        scenario = registry.find(f"{path.parent.name}/{path.stem}")
        assert given == scenario.parameters().model_dump()

    def test_every_parameter_reaches_the_run(self, path):
        (cell,) = tagged(path, "parameters")
        names = {node.targets[0].id for node in ast.parse(cell.source).body}
        (call,) = [c.source for c in book(path).cells if "await run(" in c.source]
        assert all(f"{name}={name}" in call for name in names)

    def test_it_compares_with_controls_that_a_smoke_run_has(self, path):
        shown = {name for c in book(path).cells for name in re.findall(r'report\.compare\("([^"]+)"', c.source)}
        assert shown <= set(registry.find(f"{path.parent.name}/{path.stem}").smoke)

    def test_a_failing_verdict_raises_in_its_last_cell(self, path):
        assert book(path).cells[-1].source == "result.raise_unless_pass()"


@pytest.mark.parametrize(
    "path", [TOUR, EXPLORATION, *NOTEBOOKS], ids=lambda p: p.relative_to(ROOT).with_suffix("").as_posix()
)
class TestEveryNotebookAndTheTour:
    def test_it_holds_no_logic(self, path):
        for cell in (c for c in book(path).cells if c.cell_type == "code"):
            assert not any(word in cell.source for word in ("def ", "class ", "for ", "if ", "while ")), cell.source

    def test_the_verdicts_are_stored_and_nothing_else(self, path):
        for cell in (c for c in book(path).cells if c.cell_type == "code"):
            assert bool(cell.outputs) == ("keep_output" in cell.metadata.get("tags", [])), cell.source


def test_the_tour_can_be_given_parameters():
    (cell,) = tagged(TOUR, "parameters")
    given = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cell.source).body}
    assert all(type(value) is int for value in given.values())


def test_a_sweep_runs_scenarios_and_not_the_tour():
    assert TOUR not in {job.notebook for job in plan(ROOT.parent, ROOT.parent / "runs", [], {})}
