import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.backend.agents.sse import Call, Completion


def chunk(**delta: Any) -> str:
    return "data: " + json.dumps({"choices": [{"delta": delta}]})


def fed(*lines: str) -> Completion:
    answer = Completion()
    for line in lines:
        answer.feed(line)
    return answer


@given(st.text(max_size=40), st.data())
def test_text_is_joined_however_it_is_cut(text: str, data: st.DataObject):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    answer = fed(*(chunk(content=part) for part in parts), "data: [DONE]")
    assert (answer.text, answer.done) == (text, True)


def test_calls_are_joined_by_index_and_come_in_order():
    answer = fed(
        chunk(tool_calls=[{"index": 1, "id": "b", "function": {"name": "two", "arguments": "{"}}]),
        chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "one", "arguments": ""}}]),
        chunk(tool_calls=[{"index": 1, "function": {"arguments": "}"}}]),
    )
    assert answer.calls == [Call("a", "one", ""), Call("b", "two", "{}")]


def test_comments_blanks_and_other_fields_are_passed_over():
    answer = fed("", ": keep-alive", "event: x", "id: 1", "data:" + chunk(content="a")[5:])
    assert (answer.text, answer.done, answer.finish, answer.tokens) == ("a", False, None, 0)


def test_finish_and_usage():
    answer = fed(
        'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}',
        'data: {"choices": [{"delta": {}, "finish_reason": null}]}',
        'data: {"choices": [], "usage": {"total_tokens": 12}}',
        'data: {"choices": [], "usage": null}',
    )
    assert (answer.finish, answer.tokens) == ("stop", 12)


@pytest.mark.parametrize(
    "data",
    [
        "{", "[]", "5", "null", '"text"', '{"choices": ["x"]}', '{"choices": 7}', '{"usage": 5}',
        '{"choices": [{"delta": "x"}]}', '{"choices": [{"delta": {"content": 5}}]}',
        '{"choices": [{"delta": {"tool_calls": [1]}}]}', '{"choices": [{"delta": {"tool_calls": [{"function": 1}]}}]}',
    ],
)  # fmt: skip
def test_what_is_no_chunk_is_a_value_error_so_that_the_call_is_tried_again(data: str):
    with pytest.raises(ValueError):
        fed("data: " + data)
