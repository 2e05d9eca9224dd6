"""The simulated LLM as a real process, asked with httpx."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

KEY = {"authorization": "Bearer any"}
USER = {"role": "user", "content": "What does my workload cost?"}
TOOL = {"type": "function", "function": {"name": "usage", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "netra_sim.externals.llm", "--port", "0", "--seed", "7", "--time-scale", "0.02"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["ready"]
        yield f"http://127.0.0.1:{ready['port']}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(2) == 0


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, headers=KEY, trust_env=False, timeout=10) as client:
        yield client
        await client.put("/script", json=[])


async def ask(http: httpx.AsyncClient, draw: str = "u/r/data/1", **body: Any) -> httpx.Response:
    body = {"model": "netra-large", "messages": [USER], **body}
    return await http.post("/v1/chat/completions", json=body, headers={"x-netra-draw": draw})


async def streamed(http: httpx.AsyncClient, draw: str = "u/r/data/1", **body: Any) -> list[dict[str, Any]]:
    body = {"model": "netra-large", "messages": [USER], "stream": True, **body}
    events = []
    headers = {"x-netra-draw": draw}
    async with http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                events.append(json.loads(line.removeprefix("data: ")))
            elif line:
                assert line == "data: [DONE]"
    return events


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])


async def test_stream_and_whole_answer_say_the_same(http: httpx.AsyncClient):
    whole = (await ask(http)).json()
    events = await streamed(http, stream_options={"include_usage": True})
    assert text_of(events) == whole["choices"][0]["message"]["content"]
    assert events[-1]["usage"] == whole["usage"]
    assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] + whole["usage"]["completion_tokens"]


async def test_answers_do_not_depend_on_concurrency(http: httpx.AsyncClient):
    draws = [f"u{n}/r/data/1" for n in range(20)]
    one_by_one = [(await ask(http, draw)).json()["choices"] for draw in draws]
    together = await asyncio.gather(*(ask(http, draw) for draw in reversed(draws)))
    assert [r.json()["choices"] for r in reversed(together)] == one_by_one
    assert len({str(choices) for choices in one_by_one}) == len(draws)


async def test_tools_then_a_grounded_document(http: httpx.AsyncClient):
    first = (await ask(http, tools=[TOOL])).json()["choices"][0]
    assert first["finish_reason"] == "tool_calls"
    (call,) = first["message"]["tool_calls"]
    told = {"role": "tool", "tool_call_id": call["id"], "content": '{"cost": 12.5}'}
    schema = {"type": "object", "properties": {"cost": {"type": "number", "x-from": "usage/cost"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "r", "schema": schema}}
    second = (await ask(http, messages=[USER, first["message"], told], tools=[TOOL], response_format=wanted)).json()
    assert json.loads(second["choices"][0]["message"]["content"]) == {"cost": 12.5}


async def test_streamed_tool_calls_join_to_the_whole_ones(http: httpx.AsyncClient):
    (call,) = (await ask(http, tools=[TOOL])).json()["choices"][0]["message"]["tool_calls"]
    deltas = [e["choices"][0]["delta"].get("tool_calls") for e in await streamed(http, tools=[TOOL])]
    parts = [part for delta in deltas if delta for part in delta]
    assert parts[0]["id"] == call["id"]
    assert "".join(p["function"]["arguments"] for p in parts) == call["function"]["arguments"]


async def test_errors_have_the_shape_of_the_api(http: httpx.AsyncClient):
    refused = [
        (await http.post("/v1/chat/completions", json={}, headers={"authorization": ""}), 401, "invalid_api_key", None),
        (await http.get("/v1/models", headers={"authorization": "Basic x"}), 401, "invalid_api_key", None),
        (await http.post("/v1/chat/completions", content=b"{"), 400, "invalid_json", None),
        (await ask(http, messages=[]), 400, "invalid_value", "messages"),
        (await ask(http, model="netra-huge"), 404, "model_not_found", "model"),
    ]
    for response, status, code, param in refused:
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (status, code, param)
        assert error["message"]
    assert [m["id"] for m in (await http.get("/v1/models")).json()["data"]] == ["netra-large", "netra-small"]


async def test_the_script_decides_and_the_log_tells(http: httpx.AsyncClient):
    rules = [{"match": {"agent": "triage", "nth": 1}, "do": {"status": 429, "retry_after": 0.25}}]
    assert (await http.put("/script", json=rules)).json() == {"rules": 1, "hits": 0}
    refused = await ask(http, "u/log/triage/1")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "0.25")
    assert (await ask(http, "u/log/triage/2")).status_code == 200
    log = [entry for entry in (await http.get("/requests")).json() if "/log/" in entry["draw"]]
    assert [(e["draw"], e["model"], e["status"]) for e in log] == [
        ("u/log/triage/1", "netra-large", 429),
        ("u/log/triage/2", "netra-large", 200),
    ]
    assert log[0]["tokens"] == 0
    assert 60 <= log[1]["tokens"] <= 120
    assert log[1]["seconds"] > 0


async def test_a_wrong_script_changes_nothing(http: httpx.AsyncClient):
    refused = await http.put("/script", json=[{"do": {"status": 99}}])
    assert refused.json()["error"]["param"] == "script[0].do.status"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_cut_breaks_the_connection(http: httpx.AsyncClient, stream: bool):
    await http.put("/script", json=[{"do": {"cut_after_tokens": 20}}])
    with pytest.raises(httpx.RemoteProtocolError):
        await (streamed(http) if stream else ask(http))


async def test_malformed_answers_arrive_whole_and_are_not_json(http: httpx.AsyncClient):
    await http.put("/script", json=[{"do": {"malformed": True}}])
    answer = (await ask(http, response_format={"type": "json_object"})).json()
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer["choices"][0]["message"]["content"])


async def test_a_client_that_hangs_up_ends_its_request(http: httpx.AsyncClient):
    await http.put("/script", json=[{"do": {"delay_s": 60}}])
    with pytest.raises(httpx.ReadTimeout):
        await http.post(
            "/v1/chat/completions",
            json={"model": "netra-large", "messages": [USER]},
            headers={"x-netra-draw": "u/gone/a/1"},
            timeout=0.1,
        )
    async with asyncio.timeout(2):
        while not [e for e in (await http.get("/requests")).json() if e["draw"] == "u/gone/a/1" and e["status"] == 499]:
            continue


async def test_a_script_of_one_key_leaves_the_others_alone_and_counts_its_hits(http: httpx.AsyncClient):
    await http.put("/script?key=ann&name=down", json=[{"do": {"status": 503}}])
    refused = await http.post(
        "/v1/chat/completions",
        json={"model": "netra-large", "messages": [USER]},
        headers={"authorization": "Bearer ann", "x-netra-draw": "ann/m/data/answer/1"},
    )
    assert (refused.status_code, (await ask(http)).status_code) == (503, 200)
    assert (await http.put("/script?key=ann&name=down", json=[])).json() == {"rules": 0, "hits": 1}
    (entry,) = (await http.get("/requests?key=ann")).json()
    assert (entry["agent"], entry["status"], entry["outcome"], entry["tokens"]) == ("data", 503, "refused", 0)


async def test_a_reset_breaks_the_connection_before_any_byte(http: httpx.AsyncClient):
    await http.put("/script", json=[{"do": {"reset": True}}])
    with pytest.raises(httpx.ReadError):
        await ask(http, "u/reset/a/1")
    (entry,) = [e for e in (await http.get("/requests")).json() if e["draw"] == "u/reset/a/1"]
    assert (entry["status"], entry["outcome"]) == (0, "reset")


async def test_a_stalled_stream_is_silent_until_the_client_leaves(http: httpx.AsyncClient):
    await http.put("/script", json=[{"do": {"stall_after_tokens": 12}}])
    body = {"model": "netra-large", "messages": [USER], "stream": True}
    said = []
    with pytest.raises(httpx.ReadTimeout):
        async with http.stream(
            "POST", "/v1/chat/completions", json=body, headers={"x-netra-draw": "u/stall/a/1"}, timeout=0.2
        ) as response:
            async for line in response.aiter_lines():
                said.append(line)
                if len(said) == 1:
                    (entry,) = [e for e in (await http.get("/requests")).json() if e["draw"] == "u/stall/a/1"]
                    assert (entry["status"], entry["outcome"]) == (None, "stalled")
    assert said
    async with asyncio.timeout(2):
        while not [e for e in (await http.get("/requests")).json() if e["draw"] == "u/stall/a/1" and e["status"]]:
            continue
    (entry,) = [e for e in (await http.get("/requests")).json() if e["draw"] == "u/stall/a/1"]
    assert (entry["status"], entry["outcome"], entry["tokens"]) == (499, "stalled", 12)
    assert 0.15 < entry["silent"] < entry["seconds"]
