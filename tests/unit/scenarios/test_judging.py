from dataclasses import replace

from netra_sim.checks import slo
from netra_sim.checks.verdict import Verdict
from netra_sim.scenarios import judging, registry
from netra_sim.scenarios.scenario import Control
from tests.unit.reports import sample_history


def verdict(outcome):
    return Verdict("some", outcome, "", "", (), ())


def test_a_control_that_does_not_convict_makes_the_scenario_fail():
    assert judging.overall([verdict("pass")], [{"convicts": True}]) == "pass"
    assert judging.overall([verdict("pass")], [{"convicts": True}, {"convicts": False}]) == "fail"


def test_the_gravest_verdict_wins():
    assert judging.overall([verdict("pass"), verdict("unknown")], []) == "unknown"
    assert judging.overall([verdict("unknown"), verdict("fail")], []) == "fail"


def test_every_history_is_judged_and_the_controls_that_did_not_run_are_named():
    slow, other = (Control(name, "", ("within_limit",), without=("deadline",)) for name in ("slow", "other"))
    scenario = replace(
        registry.find("golden/chat"),
        checks=lambda _: (slo.within_limit("send", 0.49),),
        controls=lambda _: (slow, other),
    )
    bare = sample_history.history(protected=False, users=8)
    judgement = judging.judged(scenario, scenario.parameters(), sample_history.history(users=8), [(slow, bare)])
    assert judgement.verdict == "pass" and judgement.left == ["other"]
    assert [(c["check"], c["outcome"], c["controls"]) for c in judgement.checks] == [
        ("within_limit", "pass", ["slow", "other"])
    ]
    (convicted,) = judgement.controls
    assert convicted["convicts"] and convicted["failed"] == ["within_limit"] and convicted["verdict"] == "fail"
