import dataclasses
import json

import pytest

from netra_sim.checks.evidence import be, notable, percent, seconds
from netra_sim.checks.verdict import Check, Finding, judge, worst
from netra_sim.kernel.history import History
from tests.checks.story import Story, cannot_tell, convicts, good, passes

PASS = Check("fine", "All is well.", ("IC-C1.1",), lambda history: Finding("pass", "All is well."))


def _crash(history: History) -> Finding:
    raise KeyError("nothing there")


def test_a_verdict_says_what_was_expected_and_what_it_proves_and_is_plain_data():
    verdict = passes(PASS, good())
    assert (verdict.check, verdict.expected, verdict.proves) == ("fine", "All is well.", ("IC-C1.1",))
    assert json.loads(json.dumps(dataclasses.asdict(verdict)))["outcome"] == "pass"


def test_a_crash_is_unknown():
    cannot_tell(Check("odd", "No crash.", (), _crash), good(), "crashed", "nothing there")


@pytest.mark.parametrize(("fired", "healed", "hits"), [(None, None, 0), (1.0, 2.0, 0)])
def test_a_fault_that_never_struck_makes_a_pass_unknown(fired, healed, hits):
    history = Story().fault("kill", "postgres", fired, healed, hits).end()
    cannot_tell(PASS, history, "never struck", "kill on postgres")


def test_a_fault_that_struck_leaves_a_pass():
    passes(PASS, Story().fault("kill", "postgres", 1.0, 2.0).end())


def test_the_first_three_faults_that_never_struck_are_the_evidence():
    story = Story()
    for n in range(4):
        story.fault("kill", f"worker-{n}", None, None)
    evidence = judge(PASS, story.end()).evidence
    assert [(facts["target"], facts["hits"]) for facts in evidence] == [(f"worker-{n}", 0) for n in range(3)]


def test_an_unknown_keeps_its_words_whatever_the_fault_did():
    dumb = Check("dumb", "x", (), lambda history: Finding("unknown", "Nothing was read."))
    assert judge(dumb, Story().fault("kill", "postgres", None, None).end()).observed == "Nothing was read."


def test_a_failure_stays_one_whatever_the_fault_did():
    fails = Check("bad", "x", (), lambda history: Finding("fail", "Broken.", ({"which": "only", "t": 0.0},)))
    convicts(fails, Story().fault("kill", "postgres", None, None, 0).end())


def test_the_worst_outcome_wins():
    assert worst(["pass", "unknown", "fail"]) == "fail"
    assert worst(["unknown", "pass"]) == worst(["pass", "unknown"]) == "unknown"
    assert worst(["pass", "pass"]) == "pass"
    assert worst([]) == "unknown"


def test_evidence_is_the_first_the_worst_and_the_last_by_time():
    bad = [{"t": t, "size": size} for t, size in ((3.0, 1), (1.0, 2), (2.0, 9))]
    told = [(facts["which"], facts["t"]) for facts in notable(bad, lambda facts: facts["size"])]
    assert told == [("first", 1.0), ("worst", 2.0), ("last", 3.0)]
    assert [facts["which"] for facts in notable(bad[:1])] == ["only"]
    merged = [facts["which"] for facts in notable(bad, lambda facts: facts["t"])]
    assert merged == ["first", "worst and last"]
    assert notable([]) == ()


def test_a_share_is_never_rounded_up():
    assert percent(99_999, 100_000) == "99.99 %"
    assert percent(1, 1) == "100 %"
    assert percent(19, 20) == "95 %"


def test_times_and_numbers_are_told_as_words():
    assert [seconds(value) for value in (0.25, 99.94, 100, 1234.5)] == ["0.25 s", "99.9 s", "100 s", "1,234 s"]
    assert [be(n) for n in (0, 1, 2)] == ["are", "is", "are"]


def test_judging_does_not_change_the_history():
    history = good()
    before = [record.to_json() for record in history.records]
    judge(PASS, history)
    assert [record.to_json() for record in history.records] == before
