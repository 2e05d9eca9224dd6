"""What every scenario of the catalogue must be: convicting, documented, runnable with what it says."""

from dataclasses import replace
from typing import Any

import pytest

from netra_sim.faults.plan import Step
from netra_sim.kernel.errors import BadValue, UnknownName
from netra_sim.scenarios import registry
from netra_sim.scenarios.scenario import Control, Parameters

SCENARIOS = list(registry.scenarios().values())


def lines() -> set[str]:
    rows = registry.requirements()["row"]
    return {f"{row['id']}.{n}" for row in rows for n in range(1, len(row["must_show"]) + 1)}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
class TestEveryScenario:
    def test_every_check_has_a_control_that_must_make_it_fail(self, scenario):
        for check in scenario.judges(scenario.parameters()):
            assert check.controls or not check.proves, f"{check.name} convicts nobody"

    def test_every_control_names_checks_that_exist(self, scenario):
        known = {check.name for check in scenario.checks(scenario.parameters())}
        for control in scenario.controls(scenario.parameters()):
            assert control.fails and set(control.fails) <= known, control.name

    def test_every_control_changes_just_one_thing(self, scenario):
        for c in scenario.controls(scenario.parameters()):
            assert sum(map(bool, (c.without, c.defect, c.steps, c.settings, c.client))) == 1, c.name

    def test_a_smoke_run_has_a_control_or_more_and_a_full_run_all(self, scenario):
        names = [control.name for control in scenario.controls(scenario.parameters())]
        assert scenario.smoke and set(scenario.smoke) <= set(names)
        assert [c.name for c in scenario.runs(scenario.parameters())] == [n for n in names if n in scenario.smoke]
        assert [c.name for c in scenario.runs(scenario.parameters(all_controls=True))] == names

    def test_every_named_defect_exists(self, scenario):
        from netra_sim import defects

        for control in scenario.controls(scenario.parameters()):
            assert not control.defect or control.defect in defects.__all__

    def test_it_proves_lines_of_the_catalogue(self, scenario):
        for check in scenario.checks(scenario.parameters()):
            assert set(check.proves) <= lines(), check.name

    def test_its_further_parameter_sets_are_sound_and_differ_from_the_usual_one(self, scenario):
        named = [scenario.variant(scenario.parameters.checked(dict(chosen))) for chosen in scenario.full]
        assert len({"smoke", *named}) == len(scenario.full) + 1

    def test_it_tells_what_to_do_and_what_it_does_not_prove(self, scenario):
        assert scenario.runbook and scenario.not_proven and scenario.question.endswith("?")


def test_an_unknown_parameter_is_named_with_the_known_ones():
    with pytest.raises(UnknownName, match=r"parameter named 'user'.*Known:.*users"):
        Parameters.checked({"user": 3})


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("users", 1, "at least 2"),
        ("users", "many", "int"),
        ("time_scale", 0, "more than 0"),
        ("seed", -1, "at least 0"),
    ],
)
def test_a_bad_parameter_is_named_with_what_it_takes(name, value, told):
    with pytest.raises(BadValue, match=told) as caught:
        Parameters.checked({name: value})
    assert caught.value.facts["field"] == name


def test_text_from_a_command_line_becomes_the_parameters_type():
    assert Parameters.checked({"users": "30", "time_scale": "0.5"}).users == 30


def test_an_unknown_scenario_is_answered_with_the_known_ones():
    with pytest.raises(UnknownName, match="golden/chat"):
        registry.find("golden/cat")


def test_the_catalogue_of_requirements_has_rows_with_unique_ids():
    ids = [row["id"] for row in registry.requirements()["row"]]
    assert len(ids) == len(set(ids)) > 70


def test_a_parameter_set_is_named_by_what_differs_from_the_usual_one():
    scenario = registry.find("golden/chat")
    assert scenario.variant(scenario.parameters()) == "smoke"
    assert scenario.variant(scenario.parameters(users=9, time_scale=0.5)) == "users=9,time_scale=0.5"


def test_a_control_takes_what_it_needs_and_never_more_than_was_asked_for():
    scenario = replace(registry.find("golden/many-users"), at_most={"users": 12, "window": 2.0})
    control = Control("one", "why", ("isolated",), at_most={"users": 6})
    usual = scenario.parameters()
    assert (scenario.given(usual, control).users, scenario.given(usual, control).window) == (6, 2.0)
    few = usual.model_copy(update={"users": 3, "window": 1.0})
    assert scenario.given(few, control) == few


def test_a_control_strikes_at_a_time_of_its_own_parameters():
    def late(p: Any) -> tuple[Control, ...]:
        return (Control("slow", "", (), steps=(Step("latency", "edge", p.window, None, {"latency": 1}),)),)

    scenario = replace(registry.find("golden/many-users"), controls=late)
    usual = scenario.parameters(all_controls=True)
    [slow] = scenario.runs(usual)
    assert [step.at for step in slow.steps] == [scenario.given(usual, slow).window]
    assert scenario.given(usual, slow).window < usual.window
