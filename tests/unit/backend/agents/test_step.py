import json
from typing import Any

import pytest

from netra_sim.backend.agents.llm import BadAnswer
from netra_sim.backend.agents.specs import AGENTS
from netra_sim.backend.agents.sse import Call, Completion
from netra_sim.backend.agents.step import at_once, called, checked

GOOD: dict[str, dict[str, Any]] = {
    "triage": {"category": "cost", "completeness": 0.5, "summary": "s"},
    "data": {"total_cost": 10, "p95_latency_ms": 1.5, "findings": ["a", "b"]},
    "optimization": {"savings": 0, "improvement_percent": -100, "reason": "r"},
    "actions": {"steps": ["one"]},
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_is_taken_and_what_was_not_asked_for_is_left_out(name: str):
    assert checked(json.dumps({**GOOD[name], "extra": 1}), AGENTS[name]) == GOOD[name]


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("triage", {"category": "weather"}, "category"),
        ("triage", {"category": None}, "category"),
        ("triage", {"completeness": 1.1}, "completeness is outside"),
        ("triage", {"completeness": -0.1}, "completeness is outside"),
        ("triage", {"completeness": "0.5"}, "completeness is not a number"),
        ("triage", {"completeness": True}, "completeness is not a number"),
        ("triage", {"summary": 5}, "summary is not a string"),
        ("optimization", {"savings": 1_000_001}, "savings is outside"),
        ("optimization", {"improvement_percent": 10_001}, "improvement_percent is outside"),
        ("actions", {"steps": "one"}, "steps is not a array"),
        ("actions", {"steps": []}, "steps has not 1 to 3"),
        ("actions", {"steps": ["a"] * 4}, "steps has not 1 to 3"),
        ("actions", {"steps": ["a", 1]}, "an item of steps is not a string"),
    ],
)
def test_a_bad_answer_says_what_is_wrong(name: str, change: dict[str, Any], problem: str):
    with pytest.raises(BadAnswer, match=problem):
        checked(json.dumps({**GOOD[name], **change}), AGENTS[name])


@pytest.mark.parametrize("name", GOOD)
def test_every_property_must_be_there(name: str):
    for missing in GOOD[name]:
        with pytest.raises(BadAnswer, match=missing):
            checked(json.dumps({k: v for k, v in GOOD[name].items() if k != missing}), AGENTS[name])


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', '{"completeness": NaN}'])
def test_what_is_no_object(text: str):
    with pytest.raises(BadAnswer):
        checked(text, AGENTS["triage"])


async def test_the_tools_of_one_agent_run_in_parallel_and_answer_in_order():
    begun: list[str] = []

    async def run(call: Call) -> dict[str, Any]:
        begun.append(call.name)
        while len(begun) < 2:
            await _turn()
        return {"result": call.name}

    calls = [Call("1", "a", ""), Call("2", "b", "")]
    assert await at_once(calls, run) == [{"result": "a"}, {"result": "b"}]


async def _turn() -> None:
    import asyncio

    await asyncio.sleep(0)


def asked(*given: str) -> Completion:
    """The tool `t` is called with each id."""
    answer = Completion()
    calls = [{"index": n, "id": id_, "function": {"name": "t", "arguments": "{}"}} for n, id_ in enumerate(given)]
    answer.feed("data: " + json.dumps({"choices": [{"delta": {"tool_calls": calls}}]}))
    return answer


@pytest.mark.parametrize("ids", [("", "b"), ("a", "a")])
def test_tool_calls_without_an_id_of_their_own_cannot_be_used(ids: tuple[str, str]):
    """Their events could not be told apart; found by corrupting the model's stream."""
    assert [call.id for call in called(asked("a", "b"), ("t",))] == ["a", "b"]
    with pytest.raises(BadAnswer, match="id of its own"):
        called(asked(*ids), ("t",))


def test_a_call_of_a_tool_that_was_not_offered_cannot_be_used():
    """It is the model's mistake, which is asked again, and no failure of a tool."""
    with pytest.raises(BadAnswer, match="no tool named t, but u, v"):
        called(asked("a"), ("u", "v"))
