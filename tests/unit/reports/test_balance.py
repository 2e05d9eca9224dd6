"""What a protection cost and saved, in words."""

import pytest

from netra_sim.reports.balance import balance, labels, tables, text
from netra_sim.reports.pairs import pair
from tests.unit.reports import sample
from tests.unit.reports.test_pairs import Told

CONTROL = sample.control("no-deadline", "why", ["recovery"], ["deadline"])


def both(up=2.0):
    protected, control = Told(), Told(up=up)
    for n in range(5):
        protected.chat(n, 0.5)
        control.chat(n, 0.5, outcome="ok" if n else "fail")
    protected.model(("user-1-m0", 1, 1200))
    control.model(("user-1-m0", 1, 200))
    return pair(protected.history(), control.history())


def test_every_row_says_how_many_with_its_unit():
    told = balance(both(), CONTROL)
    assert told.cost.caption == "What the protection cost" and told.saved.caption == "What it saved"
    assert told.cost.headers == ("What was counted", "With the protection", "Without deadline", "Difference")
    assert ("Tokens the model wrote", "1,200", "200", "1,000 more tokens") in told.cost.rows
    assert ("Questions that failed", "0", "1", "1 fewer question") in told.saved.rows
    assert ("Time waited for nothing", "0 s", "500 ms", "500 ms less") in told.saved.rows
    assert told.same == "The same in both: model calls a question." and told.machine == ""
    assert told.basis == "Counted over the one user that is in both runs, one run each."


def test_tables_without_rows_are_left_out():
    same = both().protected.history
    told = balance(pair(same, same), CONTROL)
    assert tables(told) == [] and "What it saved" not in text(told) and "The same in both" in text(told)


def test_a_slower_machine_is_told_with_what_it_took():
    told = balance(both(up=6.0), CONTROL)
    assert "“Without deadline” had less of the machine: the platform took 6.00 s to come up" in told.machine
    assert "in “With the protection” 2.00 s" in told.machine
    assert [row[0] for row in told.busy.rows] == ["Time waited for nothing"]
    assert told.machine in text(told)


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ({"name": "x", "without": ["retry"]}, ("With the protection", "Without retry")),
        ({"name": "x", "defect": "canary_leaked"}, ("With the protection", "With the defect canary leaked")),
        ({"name": "slow-edge", "setting": {"latency on edge": {}}}, ("The run itself", "Slow edge")),
    ],
)
def test_a_control_that_only_sets_something_takes_no_protection_away(control, expected):
    assert labels(control) == expected
    heading = balance(both(), control).cost.caption
    assert (heading == "What the protection cost") is (expected[0] == "With the protection")
