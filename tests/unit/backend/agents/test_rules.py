from typing import Any

import orjson
import pytest

from netra_sim.backend.agents.rules import INCOMPLETE, RULES, Facts, begun, calls, category
from netra_sim.backend.agents.specs import AGENTS
from netra_sim.backend.agents.step import checked

TOOLS: dict[str, Any] = {
    "data_inventory": {"days": 12, "completeness": 0.4},
    "usage_by_model": {"total_cost": 1234.5},
    "latency_by_model": {"p95_ms": 80.0},
    "cheaper_route": {"savings": 99.5, "percent": 8.0, "from": "netra-large", "to": "netra-medium"},
}
QUESTION = "Why is the assistant so slow?"


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_has_a_rule_whose_answer_satisfies_its_schema(name: str):
    answer = RULES[name](Facts(QUESTION, {}, TOOLS))
    assert checked(orjson.dumps(answer).decode(), AGENTS[name]) == answer


def test_figures_are_the_tools_own():
    assert RULES["triage"](Facts(QUESTION, {}, TOOLS))["completeness"] == 0.4
    found = RULES["optimization"](Facts(QUESTION, {}, TOOLS))
    assert (found["savings"], found["improvement_percent"]) == (99.5, 8.0)


def test_without_a_tools_result_a_figure_is_not_made_up():
    assert RULES["optimization"](Facts(QUESTION, {}, {}))["savings"] is None


@pytest.mark.parametrize(
    ("question", "expected"),
    [(QUESTION, "latency"), ("What does it COST?", "cost"), ("Traffic doubles", "capacity"), ("Hello", "cost")],
)
def test_the_category_goes_by_keywords(question: str, expected: str):
    assert category(question) == expected


def test_a_report_says_that_it_is_by_rule_and_keeps_what_the_model_had_begun():
    known = {"data": {"findings": ["The workload costs 5 USD."]}, "optimization": {"savings": 2.0}}
    told = RULES["reporting"](Facts(QUESTION, known, {}, '{"summary":"Most of the sp'))["summary"]
    assert told.startswith("The language model did not answer")
    assert "costs 5 USD" in told
    assert "2.00 USD" in told
    assert told.endswith(f"Most of the sp … {INCOMPLETE}")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""), ("{", ""), ('{"summary":"', ""), ('{"summary": "It \\"costs\\"', 'It "costs"'),
        ('{"summary":"a","next":"b', "a"), ('{"next":"b', ""), ('{"summary":"half an escape \\u00', ""),
    ],
)  # fmt: skip
def test_what_is_kept_of_a_text_that_broke_off(text: str, kept: str):
    assert begun(text) == kept


def test_every_tool_is_called_once_under_an_id_of_its_own():
    ids = [call.id for agent in AGENTS.values() for call in calls(agent)]
    assert len(ids) == len(set(ids))
    assert [call.name for call in calls(AGENTS["data"])] == ["usage_by_model", "latency_by_model"]
