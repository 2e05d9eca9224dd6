import json
from pathlib import Path

import pytest

from netra_sim.kernel.errors import UnknownName
from netra_sim.reports import site
from netra_sim.reports.exploration import Exploration, exploration

COMMIT, SELECT = "postgres: COMMIT #1", "postgres: SELECT a FROM b WHERE c < $1 #1"


@pytest.fixture
def explored(tmp_path: Path) -> Exploration:
    cells = [
        {"exchange": COMMIT, "fault": "cut_after", "state": "violated", "why": "<lost>"},
        {"exchange": COMMIT, "fault": "stall", "state": "held", "why": "login ok"},
        {"exchange": SELECT, "fault": "stall", "state": "unreached", "why": ""},
    ]
    flow = {"flow": "login", "exchanges": [COMMIT, "redis: GET x #1", SELECT], "cells": cells, "merged": {"lasting": 2}}
    (tmp_path / "explore.json").write_text(json.dumps({"schema": 1, "made_by": "c0ffee", "flows": [flow]}))
    return exploration(tmp_path / "explore.json")


def test_each_cell_has_the_mark_of_its_state_in_its_place(explored: Exploration) -> None:
    assert explored.heat("login").text.splitlines() == [f"   ✗✓  {COMMIT}", f"    ?  {SELECT}"]


def test_what_is_told_is_no_markup(explored: Exploration) -> None:
    shown = explored.heat("login").html
    assert "violated: &lt;lost&gt;" in shown
    assert "c &lt; $1" in shown
    assert shown.count("<tr>") == 3


def test_coverage_counts_what_was_reached(explored: Exploration) -> None:
    assert explored.summary().text == (
        "flow login, exchanges 3, held 1, violated 1, unreached 1, coverage 67 %, merged 2"
    )
    assert explored.rules().text == "2: a refusal lasts: the first of a name stands for all"


def test_what_was_violated_is_listed(explored: Exploration) -> None:
    assert explored.violated().text == f"login: {COMMIT} / cut_after: <lost>"


def test_what_was_found_before_is_listed_with_what_it_shows_now(explored: Exploration) -> None:
    assert explored.regressions().text == "None was run."
    plan = {"plan": "it", "faults": [f"{SELECT} / stall"], "found": "<lost>", "state": "held", "why": "login ok"}
    again = Exploration({**explored.data, "regressions": [plan, {**plan, "plan": "that", "state": "violated"}]})
    assert again.regressions().text.splitlines() == [
        f"✓ it: {SELECT} / stall: <lost>", f"✗ that: {SELECT} / stall: <lost>"
    ]  # fmt: skip
    assert "&lt;lost&gt;" in again.regressions().html


def test_the_reports_first_page_shows_it_only_where_something_was_explored(explored: Exploration) -> None:
    text = site.index([], [], explored=explored)
    assert "What was explored" in text
    assert f"login: {COMMIT} / cut_after: &lt;lost&gt;" in text
    assert "What was explored" not in site.index([], [])


def test_a_flow_that_is_none_is_refused(explored: Exploration) -> None:
    with pytest.raises(UnknownName, match="login"):
        explored.heat("dance")
