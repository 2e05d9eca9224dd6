import pytest

from netra_sim.checks.schema import SCHEMAS, misfit, results_fit_schema
from tests.checks.answered import AGENTS, OPTIMIZATION, REPORT, RESULTS, answered, dropped, result, rows
from tests.checks.story import about, cannot_tell, convicts, passes, without

CHECK = results_fit_schema()
GOOD = answered()
ANSWER = {**REPORT, "route": "sufficient", "partial": False, "missing": []}

BAD_VALUES = [
    ("triage", "category", "money"),
    ("triage", "category", ["cost"]),
    ("triage", "completeness", -0.01),
    ("triage", "completeness", 1.01),
    ("triage", "completeness", "1.0"),
    ("triage", "completeness", True),
    ("triage", "completeness", None),
    ("triage", "summary", ""),
    ("triage", "summary", " \n"),
    ("triage", "summary", 7),
    ("data_helper", "missing", []),
    ("data_helper", "missing", ["a", "b", "c", "d"]),
    ("data_helper", "missing", ["a", ""]),
    ("data_helper", "missing", "usage"),
    ("data_helper", "how", None),
    ("data", "total_cost", -0.01),
    ("data", "total_cost", float("inf")),
    ("data", "total_cost", float("nan")),
    ("data", "p95_latency_ms", -1),
    ("data", "findings", [1]),
    ("optimization", "savings", -0.01),
    ("optimization", "savings", 1_000_000.01),
    ("optimization", "improvement_percent", -100.01),
    ("optimization", "improvement_percent", 10_000.01),
    ("optimization", "reason", ""),
    ("actions", "steps", []),
    ("actions", "steps", {"1": "a"}),
    ("reporting", "summary", ""),
    ("reporting", "next", None),
]
BOUNDS = [
    ("triage", "completeness", (0, 1, 0.5)),
    ("data", "total_cost", (0, 1e12)),
    ("data", "p95_latency_ms", (0, 2150)),
    ("optimization", "savings", (0, 1_000_000)),
    ("optimization", "improvement_percent", (-100, 10_000)),
    ("actions", "steps", (["a"], ["a", "b", "c"])),
]


def test_the_good_history_fits():
    # Triage of the fourth run failed; the four answers come on top.
    assert "All 18 stored results of 4 runs" in passes(CHECK, GOOD).observed
    assert set(SCHEMAS) == {agent for agents in AGENTS.values() for agent in agents}


@pytest.mark.parametrize(("agent", "key", "value"), BAD_VALUES)
def test_a_value_out_of_type_or_bounds_does_not_fit(agent, key, value):
    assert f"{key} of {agent} is " in (misfit(agent, {**RESULTS[agent], key: value}) or "")


def test_what_is_allowed_is_told():
    assert (misfit("data", {**RESULTS["data"], "total_cost": -1}) or "").endswith("-1, not a number of at least 0")
    assert (misfit("triage", {**RESULTS["triage"], "completeness": 2}) or "").endswith("2, not a number from 0 to 1")
    assert (misfit("supervisor", {**ANSWER, "missing": None}) or "").endswith("None, not a list of 0 to 6 texts")


@pytest.mark.parametrize(("agent", "key", "values"), BOUNDS)
def test_the_bounds_themselves_fit(agent, key, values):
    assert [misfit(agent, {**RESULTS[agent], key: value}) for value in values] == [None] * len(values)


@pytest.mark.parametrize("agent", sorted(RESULTS))
def test_a_key_too_few_or_too_many_does_not_fit(agent):
    assert misfit(agent, RESULTS[agent]) is None
    for key in RESULTS[agent]:
        assert misfit(agent, dropped(key)(RESULTS[agent])) == f"the result of {agent} lacks {key}"
    assert "has raw" in (misfit(agent, {**RESULTS[agent], "raw": "{}"}) or "")


ANSWERS = {
    "the report alone": (ANSWER, None),
    "with the figures": ({**ANSWER, **OPTIMIZATION}, None),
    "with whose words it has": ({**ANSWER, "by": "fallback"}, None),
    "with what is missing": ({**ANSWER, "partial": True, "missing": ["data", "optimization"]}, None),
    "half the figures": ({**ANSWER, "savings": 1.0}, "lacks improvement_percent, reason"),
    "figures out of bounds": ({**ANSWER, **OPTIMIZATION, "savings": 1e7}, "savings of supervisor is 10000000.0"),
    "an empty by": ({**ANSWER, "by": ""}, "by of supervisor is ''"),
    "a strange key": ({**ANSWER, "raw": "{}"}, "has raw"),
    "another agent's key": ({**ANSWER, "total_cost": 1.0}, "has total_cost"),
    "an unknown route": ({**ANSWER, "route": "scenic"}, "route of supervisor is 'scenic'"),
    "partial as a text": ({**ANSWER, "partial": "no"}, "partial of supervisor is 'no', not true or false"),
    "partial as a number": ({**ANSWER, "partial": 0}, "partial of supervisor is 0"),
    "missing as a text": ({**ANSWER, "missing": "data"}, "missing of supervisor is 'data'"),
    **{f"no {key}": (dropped(key)(ANSWER), f"lacks {key}") for key in ANSWER},
}


@pytest.mark.parametrize("case", ANSWERS)
def test_the_final_answer(case):
    answer, problem = ANSWERS[case]
    found = misfit("supervisor", answer)
    assert found is None if problem is None else problem in (found or "")


def test_one_bad_result_convicts():
    raw = result(GOOD, "r-2", "data", lambda said: {**said, "raw": "{}"})
    convicts(CHECK, raw, "1 of 18 stored results", "has raw")
    convicts(CHECK, result(GOOD, "r-3", "supervisor", dropped("partial")), "the result of supervisor lacks partial")
    renamed = rows(GOOD, "checkpoints", lambda of: [{**of[0], "agent": "oracle"}, *of[1:]])
    convicts(CHECK, renamed, "no agent named oracle")
    convicts(CHECK, rows(GOOD, "checkpoints", lambda of: [{**of[0], "result": "words"}, *of[1:]]), "not an object")


def test_nothing_to_judge_is_unknown():
    cannot_tell(CHECK, without(GOOD, about("checkpoints")), "not read")
    cannot_tell(CHECK, rows(GOOD, "checkpoints", lambda of: []), "No result")
