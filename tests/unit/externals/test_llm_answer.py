"""Answers of the simulated LLM: seeded, grounded, within their schemas."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_sim.externals.llm import answer, prose, question
from netra_sim.externals.llm.document import Author
from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.rng import Rng

USER = {"role": "user", "content": "[data:partial] What does workspace canary-0011aabb cost?"}
USAGE_TOOL = {
    "type": "function",
    "function": {
        "name": "usage",
        "parameters": {
            "type": "object",
            "properties": {
                "days": {"type": "integer", "minimum": 7, "maximum": 30},
                "group": {"type": "string", "enum": ["model", "hour"]},
                "limit": {"type": "integer", "default": 10},
            },
        },
    },
}
PRICES_TOOL = {"type": "function", "function": {"name": "prices", "parameters": {"type": "object", "properties": {}}}}
RESULTS = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "usage", "arguments": "{}"}},
            {"id": "c2", "type": "function", "function": {"name": "prices", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "c2", "content": '{"error": "timeout"}'},
    {"role": "tool", "tool_call_id": "c1", "content": '{"cost": 123.45, "rows": [{"model": "big"}], "text": "many"}'},
]


def ask(*messages: dict[str, Any], **more: Any) -> question.Question:
    return question.parse({"model": "netra-large", "messages": list(messages or [USER]), **more})


def as_json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "result", "schema": schema}}


def written(schema: dict[str, Any], *messages: dict[str, Any], seed: int = 7) -> Any:
    asked = ask(*(messages or (USER,)), response_format=as_json(schema))
    return json.loads(answer.compose(Rng(seed), asked).text)


def test_answer_depends_on_seed_and_draw_alone():
    first, again = (answer.compose(Rng(1).child("u/r/a/1"), ask()) for _ in range(2))
    assert first == again
    assert first != answer.compose(Rng(2).child("u/r/a/1"), ask())
    assert first != answer.compose(Rng(1).child("u/r/a/2"), ask())


@pytest.mark.parametrize("seed", range(30))
def test_text_has_60_to_120_tokens_and_names_the_workspace(seed: int):
    said = answer.compose(Rng(seed), ask())
    assert 60 <= said.completion_tokens <= 120
    assert said.completion_tokens == prose.tokens(said.text)
    assert "canary-0011aabb" in said.text


def test_every_offered_tool_is_called_once_in_parallel():
    said = answer.compose(Rng(1), ask(tools=[USAGE_TOOL, PRICES_TOOL]))
    assert [call.name for call in said.calls] == ["usage", "prices"]
    assert len({call.id for call in said.calls}) == 2
    arguments = json.loads(said.calls[0].arguments)
    assert 7 <= arguments["days"] <= 30
    assert arguments["group"] in ("model", "hour")
    assert arguments["limit"] == 10
    assert said.finish_reason == "tool_calls"


def test_tool_choice_and_parallel_tool_calls_are_honoured():
    tools = [USAGE_TOOL, PRICES_TOOL]
    assert not answer.compose(Rng(1), ask(tools=tools, tool_choice="none")).calls
    named = ask(tools=tools, tool_choice={"type": "function", "function": {"name": "prices"}})
    assert [call.name for call in answer.compose(Rng(1), named).calls] == ["prices"]
    assert len(answer.compose(Rng(1), ask(tools=tools, parallel_tool_calls=False)).calls) == 1


def test_after_the_tools_the_answer_is_grounded_in_their_results():
    schema = {
        "type": "object",
        "properties": {
            "cost": {"type": "number", "x-from": "usage/cost"},
            "model": {"type": "string", "x-from": "/usage/rows/0/model"},
            "price": {"type": ["number", "null"], "x-from": "prices/price"},
            "floor": {"type": "number", "minimum": 5, "x-from": "prices/price"},
            "wrong_type": {"type": "integer", "x-from": "usage/text"},
        },
    }
    asked = ask(USER, *RESULTS, tools=[USAGE_TOOL], response_format=as_json(schema))
    document = json.loads(answer.compose(Rng(1), asked).text)
    assert document == {"cost": 123.45, "model": "big", "price": None, "floor": 5, "wrong_type": 0}


def test_document_follows_refs_and_branches():
    schema = {
        "type": "object",
        "$defs": {"Step": {"type": "object", "properties": {"title": {"type": "string", "description": "what to do"}}}},
        "properties": {
            "steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}, "minItems": 2, "maxItems": 2},
            "note": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 12}]},
            "kind": {"const": "plan"},
        },
    }
    document = written(schema)
    assert [len(step["title"]) > 20 for step in document["steps"]] == [True, True]
    assert len(document["note"]) <= 12
    assert document["kind"] == "plan"


SCHEMAS = st.recursive(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("boolean")}),
        st.builds(
            lambda kind, low, width: {"type": kind, "minimum": low, "maximum": low + width},
            st.sampled_from(["integer", "number"]),
            st.integers(-1000, 1000),
            st.integers(0, 50),
        ),
        st.fixed_dictionaries({"enum": st.lists(st.integers(), min_size=1, max_size=3)}),
        st.builds(
            lambda low, extra: {"type": "string", "description": "d", "minLength": low, "maxLength": low + extra},
            st.integers(0, 300),
            st.integers(0, 300),
        ),
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda s, n: {"type": "array", "items": s, "minItems": n, "maxItems": n + 1}, inner, st.integers(0, 2)
        ),
        st.builds(
            lambda parts: {"type": "object", "properties": parts, "required": list(parts)},
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        ),
    ),
    max_leaves=8,
)


@given(SCHEMAS, st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_a_document_satisfies_its_schema(schema: dict[str, Any], seed: int):
    from jsonschema import validate

    validate(Author(Rng(seed), schema).value(schema), schema)


def test_a_spoiled_answer_is_not_json():
    said = answer.spoil(answer.compose(Rng(1), ask(tools=[USAGE_TOOL])))
    with pytest.raises(json.JSONDecodeError):
        json.loads(said.calls[0].arguments)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({"messages": [USER]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": [{"role": "king", "content": ""}]}, "messages[0].role"),
        ({"model": "m", "messages": [USER, {"role": "user"}]}, "messages[1].content"),
        ({"model": "m", "messages": [{"role": "tool", "content": ""}]}, "messages[0].tool_call_id"),
        ({"model": "m", "messages": [USER], "tools": [{"function": {}}]}, "tools[0].function.name"),
        ({"model": "m", "messages": [USER], "stream": "yes"}, "stream"),
        ({"model": "m", "messages": [USER], "response_format": {"type": "xml"}}, "response_format.type"),
    ],
)
def test_a_wrong_body_is_refused_by_the_name_of_its_field(body: Any, field: str):
    with pytest.raises(BadValue) as refused:
        question.parse(body)
    assert refused.value.facts["field"] == field
