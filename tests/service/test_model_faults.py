"""Faults on the wire between a client and the lab's model: its streams stalled, cut, broken, refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from netra_sim.faults.control import FaultControl
from netra_sim.lab.lab import Lab
from tests.service.proxying import within
from tests.service.striking import hits, strike, struck, through

DOWN = {"stream": "downstream"}
FOURTH = {"type": "event", "path": "/v1/chat/completions", "nth": 4}
BODY = {"model": "netra-large", "messages": [{"role": "user", "content": "What does it cost?"}], "stream": True}
TOOL = {"type": "function", "function": {"name": "usage", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
async def http(control: FaultControl, lab: Lab) -> AsyncIterator[httpx.AsyncClient]:
    """By way of the proxy."""
    url = await through(control, lab.llm_url, "http")
    async with httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer wire"}, trust_env=False) as client:
        yield client


async def asked(lab: Lab) -> list[str]:
    """What became of the requests that reached the server, in the order of their ends."""
    async with httpx.AsyncClient(base_url=lab.llm_url.removesuffix("/v1"), trust_env=False) as client:
        return [entry["draw"] for entry in (await client.get("/requests?key=wire")).json()]


async def events(http: httpx.AsyncClient, draw: str, into: list[str], **more: Any) -> list[str]:
    """The data of each event, also told `into` as they come."""
    headers = {"x-netra-draw": f"u/{draw}/data/1"}
    async with http.stream("POST", "/chat/completions", json={**BODY, **more}, headers=headers) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line:
                into.append(line.removeprefix("data: "))
    return into


@pytest.mark.parametrize(
    ("kind", "attributes", "heard"),
    [
        ("cut", {"when": "before"}, 3),
        ("cut", {"when": "after", "how": "close"}, 4),
        ("cut", {"when": "middle", "how": "close"}, 3),
        ("truncate_message", {"bytes": 60}, 3),
    ],
)
async def test_a_stream_breaks_off_at_the_event_named(
    control: FaultControl, http: httpx.AsyncClient, kind: str, attributes: dict[str, Any], heard: int
) -> None:
    whole = await events(http, f"{kind}{heard}", [])
    await strike(control, kind, FOURTH, **DOWN, **attributes)
    broken: list[str] = []
    with pytest.raises(httpx.TransportError):
        await events(http, f"{kind}{heard}", broken)
    told = [line for line in broken if line.endswith(("}", "[DONE]"))]
    if attributes.get("how", "reset") == "close" or kind == "truncate_message":  # a reset may overtake what was sent
        assert texts(told) == texts(whole[:heard])
    assert await hits(control) == 1
    assert texts(await events(http, f"{kind}{heard}", [])) == texts(whole)


async def test_a_stream_is_silent_from_the_event_named_on_and_then_whole(
    control: FaultControl, http: httpx.AsyncClient
) -> None:
    whole = await events(http, "stall", [])
    await strike(control, "stall", FOURTH, **DOWN)
    heard: list[str] = []
    asking = asyncio.ensure_future(events(http, "stall", heard))
    await struck(control)
    while len(heard) < 3:
        await hits(control)  # a round trip to the proxy is the pace
    assert (texts(heard), asking.done()) == (texts(whole[:3]), False)
    await control.remove_toxic("edge", "it")
    assert texts(await within(asking)) == texts(whole)


async def test_one_event_is_malformed_and_the_others_are_not(control: FaultControl, http: httpx.AsyncClient) -> None:
    whole = await events(http, "spoilt", [])
    await strike(control, "corrupt_message", FOURTH, **DOWN, every=1)
    async with http.stream(
        "POST", "/chat/completions", json=BODY, headers={"x-netra-draw": "u/spoilt/data/1"}
    ) as response:
        told = (await response.aread()).decode("latin-1")
    spoilt = [block for block in told.split("data: ") if block]
    assert json.loads(spoilt[0])["object"] == "chat.completion.chunk"
    with pytest.raises(json.JSONDecodeError):
        json.loads(spoilt[2])
    assert told.endswith("data: [DONE]\n\n")
    assert len(told.encode("latin-1")) == sum(len(line) + 8 for line in whole), "every length is as it was"
    assert await hits(control) == 1


async def test_the_second_request_is_refused_with_a_time_to_come_back_and_never_comes(
    control: FaultControl, http: httpx.AsyncClient, lab: Lab
) -> None:
    match = {"path": "/v1/chat/*", "nth": 2}
    await strike(control, "http_error", match, status=429, retry_after=3, body='{"error": {"code": "slow_down"}}')
    for n in (1, 2, 3):
        if n == 2:
            with pytest.raises(httpx.HTTPStatusError) as refused:
                await events(http, "refused2", [])
            assert (refused.value.response.status_code, refused.value.response.headers["retry-after"]) == (429, "3")
        else:
            assert (await events(http, f"refused{n}", []))[-1] == "[DONE]"
    assert [draw for draw in await asked(lab) if "refused" in draw] == ["u/refused1/data/1", "u/refused3/data/1"]
    assert await hits(control) == 1


async def test_a_model_calls_a_tool_that_nobody_offered(http: httpx.AsyncClient) -> None:
    script = str(http.base_url).replace("/v1/", "/script?key=wire")
    rules = [{"match": {"agent": "data", "nth": 2}, "do": {"wrong_tool": True}}]
    await http.put(script, json=rules)
    named = [await tools(http, f"tool{n}") for n in (1, 2, 3)]
    assert (named[0], named[2]) == (["usage"], ["usage"])
    assert len(named[1]) == 1
    assert named[1] != ["usage"]
    assert (await http.put(script, json=[])).json() == {"rules": 0, "hits": 1}


async def test_a_model_charges_what_nobody_used(http: httpx.AsyncClient) -> None:
    script = str(http.base_url).replace("/v1/", "/script?key=wire")
    await http.put(script, json=[{"match": {"agent": "data", "nth": 2}, "do": {"wrong_usage": True}}])
    asked = {"stream_options": {"include_usage": True}}
    told = [(await events(http, f"usage{n}", [], **asked))[-2] for n in (1, 2, 3)]
    first, wrong, third = (json.loads(line)["usage"] for line in told)
    assert wrong["prompt_tokens"] == 10 * first["prompt_tokens"] == 10 * third["prompt_tokens"]
    assert wrong["total_tokens"] == wrong["prompt_tokens"] + wrong["completion_tokens"]
    assert (await http.put(script, json=[])).json() == {"rules": 0, "hits": 1}


async def tools(http: httpx.AsyncClient, draw: str) -> list[str]:
    """The names of the tools called."""
    deltas = [json.loads(line)["choices"][0]["delta"] for line in (await events(http, draw, [], tools=[TOOL]))[:-1]]
    calls = [call for delta in deltas for call in delta.get("tool_calls") or []]
    return [call["function"]["name"] for call in calls if "name" in call["function"]]


def texts(lines: list[str]) -> list[Any]:
    """What the events say; their time of creation aside."""
    return [line if line == "[DONE]" else json.loads(line)["choices"] for line in lines]
