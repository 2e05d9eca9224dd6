import json

import pytest

from tests.bench.__main__ import exit_code, table, write
from tests.bench.measure import Figure, Goal, Pair, missing, over, percentile, ratio, stolen

STAT = "cpu  {} 0 50 800 0 0 0 {} 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"


def test_the_ratio_is_the_median_of_the_pairs_that_were_not_stolen_from():
    good = [Pair(1, 2, 0.0), Pair(3, 4, 0.06), Pair(9, 10, 0.01)]
    assert ratio([*good, Pair(100, 1, 0.07), Pair(1, 0, 0.0)]) == (0.75, 3)


def test_too_few_good_pairs_give_no_ratio():
    assert ratio([Pair(1, 2, 0.0)] * 2 + [Pair(1, 2, 0.5)] * 9) == (None, 2)


def test_percentiles_need_a_thousand_samples():
    samples = [float(n) for n in range(1, 1001)]
    assert percentile(samples[1:], 0.5) is None
    assert (percentile(samples, 0.5), percentile(samples, 0.99), percentile(samples, 1.0)) == (500.0, 990.0, 1000.0)
    assert over(samples, 990.0) == 10


def test_stolen_time_is_a_share_of_all_time():
    assert stolen(STAT.format(100, 10), STAT.format(190, 20)) == pytest.approx(0.1)
    assert stolen(STAT.format(1, 1), STAT.format(1, 1)) == 0.0


@pytest.mark.parametrize(
    ("goal", "value", "holds"),
    [
        (Goal(0.5), 0.5, True), (Goal(0.5), 0.49, False),
        (Goal(4, most=True), 4.0, True), (Goal(4, most=True), 4.1, False),
    ],
)  # fmt: skip
def test_a_goal_has_a_side(goal: Goal, value: float, holds: bool):
    assert Figure("f", value, "s", goal).holds is holds


def test_what_was_not_measured_is_neither_guessed_nor_held():
    figure = missing("proxy", "ratio", "nginx is not on PATH", Goal(1.0))
    assert figure.as_dict() == {
        "name": "proxy", "value": None, "unit": "ratio", "goal": "at least 1", "holds": None,
        "against": "not measured: nginx is not on PATH", "samples": 0,
    }  # fmt: skip


def test_exit_codes():
    held, failed = Figure("a", 1.0, "s", Goal(2, most=True)), Figure("b", 3.0, "s", Goal(2, most=True))
    assert exit_code([held, Figure("c", 1.0, "s")]) == 0
    assert exit_code([held, failed]) == 1
    assert exit_code([failed, missing("d", "s", "gone")]) == 2


def test_the_file_holds_one_run_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "reports" / "bench.json"
    write(path, [Figure("old", 1.0, "s")])
    write(path, [Figure("new", 2.0, "s", Goal(1), "them", 5)])
    told = json.loads(path.read_text())
    assert told["schema"] == 1 and [row["name"] for row in told["figures"]] == ["new"]
    assert list(told["figures"][0]) == ["name", "value", "unit", "goal", "holds", "against", "samples"]
    assert [p.name for p in path.parent.iterdir()] == ["bench.json"]


def test_the_table_says_what_fails():
    assert "FAILS" in table([Figure("slow", 3.0, "s", Goal(2, most=True))]).splitlines()[1]
