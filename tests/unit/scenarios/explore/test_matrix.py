import json
from pathlib import Path

import pytest

from netra_sim.kernel.errors import BadValue
from netra_sim.scenarios.explore.cells import Cell
from netra_sim.scenarios.explore.fingerprint import Exchange
from netra_sim.scenarios.explore.flow import FLOWS
from netra_sim.scenarios.explore.matrix import Matrix, Outcome, load, save
from netra_sim.scenarios.explore.plans import Plan, drawn, stored

COMMIT, LOGIN = Exchange("postgres", "COMMIT", 2), Exchange("edge", "POST /auth/login")


@pytest.fixture
def matrix() -> Matrix:
    made = Matrix("login", [LOGIN, COMMIT], {"lasting": 3})
    made.add(Outcome(Cell(COMMIT, "stall"), "violated", "lost"))
    made.add(Outcome(Cell(LOGIN, "refuse"), "held", "login fail"))
    return made


def test_the_file_has_the_published_form(tmp_path: Path, matrix: Matrix) -> None:
    save(tmp_path / "reports/explore.json", "c0ffee", [matrix])
    told = json.loads((tmp_path / "reports/explore.json").read_text())
    assert told["schema"] == 1
    (flow,) = told["flows"]
    assert flow["exchanges"] == ["edge: POST /auth/login #1", "postgres: COMMIT #2"]
    assert flow["cells"] == [
        {"exchange": "edge: POST /auth/login #1", "fault": "refuse", "state": "held", "why": "login fail"},
        {"exchange": "postgres: COMMIT #2", "fault": "stall", "state": "violated", "why": "lost"},
    ]
    assert [p.name for p in (tmp_path / "reports").iterdir()] == ["explore.json"]


def test_exploration_goes_on_where_it_was_ended(tmp_path: Path, matrix: Matrix) -> None:
    path = tmp_path / "explore.json"
    save(path, "c0ffee", [matrix])
    assert load(path, "c0ffee")["login"].outcomes == matrix.outcomes
    assert load(path, "c0ffee")["login"].merged == {"lasting": 3}


def test_what_another_commit_has_shown_counts_for_nothing(tmp_path: Path, matrix: Matrix) -> None:
    path = tmp_path / "explore.json"
    save(path, "c0ffee", [matrix])
    assert load(path, "decaf") == {}
    path.write_text('{"schema": 1, "made_by": "c0ff')
    assert load(path, "c0ffee") == {}


def test_a_cell_that_is_run_again_counts_once(matrix: Matrix) -> None:
    matrix.add(Outcome(Cell(COMMIT, "stall"), "held", ""))
    assert matrix.count() == {"held": 2}


def test_a_stored_plan_is_read_again(tmp_path: Path) -> None:
    plan = Plan("login", (Cell(LOGIN, "refuse"), Cell(COMMIT, "cut_after")), "lost", "idempotency_removed", 3)
    assert Plan.load(plan.save(tmp_path / "plans/it.json")) == plan


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{}", "plan"),
        ('{"flow": "dance", "faults": []}', "flow"),
        ('{"flow": "login", "faults": [{"exchange": "edge: GET /ws #1", "fault": "melt"}]}', "fault"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str, names: str) -> None:
    (tmp_path / "it.json").write_text(text)
    with pytest.raises(BadValue, match=names):
        Plan.load(tmp_path / "it.json")


def test_what_was_found_before_is_stored_by_flow() -> None:
    assert set(stored(["login", "chat"])) >= {"commit-answer-lost", "fallback-model-unasked", "tool-call-without-id"}
    assert all(plan.why and len(plan.cells) == 1 for plan in stored(FLOWS).values())
    assert set(stored(["login"])) == {"commit-answer-lost"}


def test_plans_are_drawn_by_seed_each_exchange_once() -> None:
    known = [Cell(Exchange("postgres", "COMMIT", n), fault) for n in range(1, 6) for fault in ("stall", "error")]
    for number in range(50):
        plan = drawn(7, number, "login", known)
        assert plan == drawn(7, number, "login", known)
        assert len({cell.exchange for cell in plan}) == len(plan) >= 1
        assert list(plan) == sorted(plan, key=known.index)
    assert len({drawn(7, number, "login", known) for number in range(50)}) > 25
    assert drawn(8, 1, "login", known) != drawn(7, 1, "login", known)
