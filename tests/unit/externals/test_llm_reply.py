"""What goes out and when, and what the script does to it."""

import statistics
from itertools import pairwise
from typing import Any

import orjson
import pytest

from netra_sim.externals.llm import answer, latency, question, reply, script, wire
from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.rng import Rng

HEAD = {"id": "chatcmpl-1", "created": 1, "model": "netra-large"}
PACE = latency.Pace(0.2, 0.01)


def planned(do: script.Behaviour = script.NORMAL, **more: Any) -> reply.Reply:
    body = {"model": "netra-large", "messages": [{"role": "user", "content": "hi"}], **more}
    asked = question.parse(body)
    return reply.plan(asked, answer.compose(Rng(1), asked), PACE, do, HEAD)


def events_of(planned: reply.Reply) -> list[dict[str, Any]]:
    return [orjson.loads(p.data.removeprefix(b"data: ")) for p in planned.parts if p.data != wire.DONE]


def test_first_token_has_the_median_and_spread_of_the_reference():
    firsts = [latency.pace(Rng(seed), 1.0).first_s for seed in range(2000)]
    assert statistics.median(firsts) == pytest.approx(0.25, rel=0.06)
    assert statistics.quantiles(firsts, n=100)[94] == pytest.approx(0.25 * 2.276, rel=0.12)
    assert latency.pace(Rng(1), 0.1).first_s == pytest.approx(latency.pace(Rng(1), 1.0).first_s / 10)
    assert latency.pace(Rng(1), 0).due(100) == 0


def test_chunks_are_due_on_an_absolute_schedule_of_150_tokens_a_second():
    assert latency.pace(Rng(1), 1.0).token_s == pytest.approx(1 / 150)
    parts = planned(stream=True).parts
    assert parts[0].due_s == pytest.approx(0.2)
    assert all(p.due_s == pytest.approx(0.2 + p.tokens * 0.01) for p in parts)
    assert all(0 <= later.tokens - earlier.tokens <= wire.CHUNK_TOKENS for earlier, later in pairwise(parts))
    assert parts[-1].data == wire.DONE


def test_a_stream_carries_the_text_and_usage_of_the_whole_answer():
    whole = orjson.loads(planned().parts[0].data)
    events = events_of(planned(stream=True, stream_options={"include_usage": True}))
    said = "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])
    assert said == whole["choices"][0]["message"]["content"]
    assert events[-1]["usage"] == whole["usage"]
    assert events[-2]["choices"][0]["finish_reason"] == "stop"
    assert planned().parts[0].due_s == pytest.approx(0.2 + whole["usage"]["completion_tokens"] * 0.01)


def test_without_include_usage_no_event_tells_it():
    assert all("usage" not in event for event in events_of(planned(stream=True)))


def test_cutting_leaves_out_what_comes_later_and_the_end():
    cut = planned(script.Behaviour(cut_after_tokens=12), stream=True)
    assert not cut.whole
    assert cut.parts[-1].tokens == 12
    body = planned(script.Behaviour(cut_after_tokens=12))
    assert not body.whole
    assert body.length == 2 * len(body.parts[0].data) or body.length == 2 * len(body.parts[0].data) + 1
    assert planned(script.Behaviour(cut_after_tokens=10_000), stream=True).whole


def test_a_delay_moves_every_part():
    for late, normal in zip(
        planned(script.Behaviour(delay_s=3), stream=True).parts, planned(stream=True).parts, strict=True
    ):
        assert late.due_s == pytest.approx(normal.due_s + 3)


def test_scripted_errors_carry_retry_after():
    refused = reply.scripted_error(script.Behaviour(status=429, retry_after=0.5))
    assert refused is not None
    assert (refused.status, refused.headers) == (429, {"retry-after": "0.5"})
    assert orjson.loads(refused.parts[0].data)["error"]["type"] == "rate_limit_error"
    alone = reply.scripted_error(script.Behaviour(retry_after=2))
    assert alone is not None
    assert alone.status == 429
    assert reply.scripted_error(script.NORMAL) is None


def test_rules_match_model_agent_and_nth():
    rules = script.parse(
        [
            {"match": {"model": "netra-large", "agent": "triage", "nth": 2}, "do": {"status": 500}},
            {"match": {"model": "netra-small"}, "do": {"malformed": True}},
        ]
    )
    asked = [("netra-large", "triage"), ("netra-large", "data"), ("netra-large", "triage"), ("netra-small", "triage")]
    done = [rules.behaviour(Rng(1).child(n), model, agent) for n, (model, agent) in enumerate(asked)]
    assert [d and d.status for d in done] == [None, None, 500, None]
    assert [d is not None and d.malformed for d in done] == [False, False, False, True]
    assert rules.hits == 2


def test_chance_belongs_to_the_draw_and_not_to_the_order():
    rule = [{"match": {"probability": 0.3}, "do": {"status": 503}}]

    def struck(draws: list[int]) -> set[int]:
        rules = script.parse(rule)
        return {d for d in draws if rules.behaviour(Rng(1).child(d), "m", "a")}

    draws = list(range(500))
    assert struck(draws) == struck(draws[::-1])
    assert 100 < len(struck(draws)) < 200


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "script"),
        ([{"mach": {}, "do": {}}], "script[0]"),
        ([{"match": {}}], "script[0].do"),
        ([{"do": {"status": 200}}], "script[0].do.status"),
        ([{"do": {"status": True}}], "script[0].do.status"),
        ([{"do": {"delay_s": -1}}], "script[0].do.delay_s"),
        ([{"do": {}, "match": {"agnt": "x"}}], "script[0].match.agnt"),
    ],
)
def test_a_wrong_script_is_refused_by_the_name_of_its_field(data: Any, field: str):
    with pytest.raises(BadValue) as refused:
        script.parse(data)
    assert refused.value.facts["field"] == field


def test_a_key_has_its_own_scripts_and_then_those_of_all():
    scripts = script.Scripts()
    scripts.put("", "", script.parse([{"do": {"status": 500}}]))
    scripts.put("ann", "one", script.parse([{"match": {"agent": "data"}, "do": {"status": 429}}]))
    scripts.put("ann", "two", script.parse([{"match": {"agent": "triage"}, "do": {"status": 503}}]))
    asked = [("ann", "data"), ("ann", "triage"), ("ann", "actions"), ("bob", "data")]
    assert [scripts.behaviour(key, Rng(1), "m", agent).status for key, agent in asked] == [429, 503, 500, 500]
    assert scripts.put("ann", "one", script.parse([])) == 1
    assert scripts.behaviour("ann", Rng(1), "m", "data").status == 500
    assert scripts.put("ann", "one", script.parse([])) == 0
    assert scripts.put("ann", "two", script.parse([])) == 1
    assert scripts.by_key.keys() == {""}


def test_a_stalled_stream_says_its_tokens_and_no_end():
    stalled = planned(script.Behaviour(stall_after_tokens=12), stream=True)
    assert (stalled.stalls, stalled.whole, stalled.parts[-1].tokens, stalled.outcome) == (True, False, 12, "stalled")
    assert not planned(script.Behaviour(stall_after_tokens=10_000), stream=True).stalls
    assert planned(script.Behaviour(stall_after_tokens=12)).parts == ()


def test_a_wrong_schema_is_json_of_another_shape():
    properties = {"cost": {"type": "number"}, "savings": {"type": "number"}, "why": {"type": "string"}}
    wanted = {"type": "json_schema", "json_schema": {"schema": {"type": "object", "properties": properties}}}
    told = orjson.loads(planned(script.Behaviour(wrong_schema=True), response_format=wanted).parts[0].data)
    said = orjson.loads(told["choices"][0]["message"]["content"])
    assert (said.keys(), said["savings"]) == ({"savings", "why"}, -1e12)


@pytest.mark.parametrize(
    ("do", "name"),
    [
        ({}, "ok"), ({"status": 500}, "refused"), ({"retry_after": 1.0}, "refused"), ({"reset": True}, "reset"),
        ({"malformed": True}, "malformed"), ({"wrong_schema": True}, "wrong_schema"),
        ({"wrong_tool": True}, "wrong_tool"), ({"wrong_usage": True}, "wrong_usage"), ({"delay_s": 1.0}, "delayed"),
        ({"cut_after_tokens": 0}, "cut"), ({"stall_after_tokens": 0}, "stalled"),
    ],
)  # fmt: skip
def test_the_log_names_what_was_done(do: dict[str, Any], name: str):
    assert script.Behaviour(**do).name == name
