"""What a run's page says about the run before it, and about its load."""

import pytest

from netra_sim.kernel.history import History
from netra_sim.reports.difference import difference, duration
from netra_sim.reports.result import Result
from netra_sim.reports.words import load
from tests.unit.reports import sample, sample_history


def stored(folder, took, number=30, outcome="ok", **changes):
    """A result with `number` sends that took so many seconds each."""
    tape = sample_history.Tape()
    for n in range(number):
        tape.op(n / 10, took, "user-1", "send", outcome, {}, {})
    folder.mkdir()
    tape.history().save(folder / "history.jsonl")
    return Result(sample.result(**changes), folder)


def test_a_check_that_changed_is_told_with_both_observations(tmp_path):
    before = stored(tmp_path / "a", 0.02)
    now = stored(tmp_path / "b", 0.02, verdict="fail", checks=sample.checks(("recovery",)))
    told = " ".join(difference(before, now).sentences)
    assert "The verdict went from pass to fail." in told
    assert "`recovery` went from pass to fail. Before: 0.84 s Now: 11.9 s" in told and "as before" not in told


def test_new_and_dropped_checks_and_other_code_are_told(tmp_path):
    before = stored(tmp_path / "a", 0.02, checks=[sample.check("old"), sample.check("kept")])
    now = stored(tmp_path / "b", 0.02, checks=[sample.check("kept"), sample.check("new")], commit="cafe", seed=8)
    told = difference(before, now).sentences
    assert "New: `new`." in told and "No longer judged: `old`." in told and "seed was 7 and is now 8." in told
    assert "The code differs: commit 4f1c2ab9d0e3, now cafe." in told


@pytest.mark.parametrize(
    ("was", "number", "told"),
    [
        (0.02, 30, "The median send took 50% longer: 30 ms, before 20 ms."),
        (0.06, 30, "The median send took 50% less: 30 ms, before 60 ms."),
        (0.029, 30, None),
        (0.02, 19, None),
    ],
)
def test_a_median_is_told_when_it_moved_and_samples_suffice(tmp_path, was, number, told):
    found = difference(stored(tmp_path / "a", was, number), stored(tmp_path / "b", 0.03))
    assert [s for s in found.sentences if s.startswith("The median")] == ([told] if told else [])


def test_operations_are_counted_by_how_they_ended(tmp_path):
    found = difference(stored(tmp_path / "a", 0.02, 5, "fail"), stored(tmp_path / "b", None, 7))
    (send,) = found.operations
    assert (send.before.number, send.before.failed, send.now.number, send.now.unanswered) == (5, 5, 7, 7)


def test_without_a_history_only_the_verdicts_are_compared(tmp_path):
    before = stored(tmp_path / "a", 0.02)
    (before.folder / "history.jsonl").unlink()
    found = difference(before, stored(tmp_path / "b", 0.02))
    assert found.operations == () and found.sentences


def test_durations_have_a_fitting_unit():
    assert [duration(s) for s in (None, 0.0042, 0.042, 4.2)] == ["too few", "4.2 ms", "42 ms", "4.20 s"]


def test_the_load_says_how_much_of_it_was_applied():
    tape = sample_history.Tape()
    tape.put(0.0, "run", "load_started", "seen", {"users": 3, "planned_arrivals": 3})
    tape.op(0.1, 0.1, "user-1", "send", "ok", {}, {})
    ended = {"planned": 3, "started": 3, "finished": 2, "cut": 1, "late_s": 0.0042}
    tape.put(1.0, "run", "load_ended", "seen", ended)
    assert load(tape.history()).startswith("3 of 3 planned users came, 1 was sent home")
    assert load(History([])) == ""
