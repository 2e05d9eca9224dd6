import asyncio
import random
from typing import Any

import aiohttp
import pytest

from netra_sim.backend.agents.llm import RESERVE, BadAnswer, Model, ModelError, NoAnswer, refusal, transient
from netra_sim.backend.agents.sse import Completion
from netra_sim.backend.config import Settings
from netra_sim.backend.reliability.deadline import deadline
from netra_sim.backend.reliability.policy import Policy, Row
from netra_sim.kernel.clock import ManualClock


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ModelError(429, ""), True), (ModelError(500, ""), True), (ModelError(503, ""), True),
        (ModelError(400, ""), False), (ModelError(401, ""), False), (ModelError(404, ""), False),
        (ConnectionRefusedError(), True), (aiohttp.ClientPayloadError(), True),
        (aiohttp.ServerDisconnectedError(), True),
        (TimeoutError(), True), (ValueError(), True), (KeyError(), False),
    ],
)  # fmt: skip
def test_what_is_worth_another_try(error: Exception, again: bool):
    assert transient(error) == again


@pytest.mark.parametrize(
    ("header", "seconds"), [("2", 2.0), ("0.25", 0.25), ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0), ("-1", 0.0), (".", 0.0)]
)
def test_retry_after_in_seconds_is_read(header: str, seconds: float):
    error = refusal(429, header, "slow down")
    assert (error.status, error.retry_after) == (429, seconds)
    assert "slow down" in str(error)


class Played(Model):
    """Says what it was told to, in order; the last answer stays."""

    def __init__(self, *answers: str | Exception, **settings: Any) -> None:
        given = {"postgres_url": "", "redis_url": "", "llm_url": "http://h/v1", **settings}
        policies = [
            Policy(n, Row(1, 1, 0, 0, 1, 1), clock=ManualClock(), rng=random.Random(1), transient=transient)
            for n in ("llm", "llm_fallback")
        ]
        super().__init__(Settings(**given), policies[0], policies[1])
        self.answers, self.asked = list(answers), list[tuple[str, str, str]]()

    async def _stream(self, request: dict[str, Any], draw: str, answer: Completion) -> None:
        self.asked.append((request["model"], draw, request["messages"][-1]["content"]))
        told = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(told, Exception):
            answer.text = '{"summary":"half'
            raise told
        answer.text, answer.done = told, True


def read(completion: Completion) -> str:
    if completion.text == "bad":
        raise BadAnswer("it is bad")
    return completion.text


REQUEST = {"messages": [{"role": "user", "content": "hi"}]}


async def test_the_primary_answers_when_it_can():
    model = Played("good")
    assert await model.complete(REQUEST, "u/m/a/answer", read) == ("good", "primary")
    assert model.asked == [("netra-large", "u/m/a/answer/1", "hi")]


async def test_a_bad_answer_is_asked_for_again_with_the_reason_then_of_the_other_model():
    model = Played("bad", "bad", "good")
    assert await model.complete(REQUEST, "d", read) == ("good", "fallback")
    assert [(name, draw) for name, draw, _ in model.asked] == [
        ("netra-large", "d/1"), ("netra-large", "d/2"), ("netra-small", "d/3"),
    ]  # fmt: skip
    assert "it is bad" in model.asked[1][2]
    assert model.asked[2][2] == "hi"


@pytest.mark.parametrize(
    "trouble", [ModelError(503, ""), ModelError(401, ""), aiohttp.ClientPayloadError(), TimeoutError()]
)
async def test_when_the_primary_fails_the_fallback_model_is_asked(trouble: Exception):
    assert await Played(trouble, "good").complete(REQUEST, "d", read) == ("good", "fallback")


async def test_when_both_fail_what_one_had_begun_to_say_is_kept():
    with pytest.raises(NoAnswer) as told:
        await Played(TimeoutError()).complete(REQUEST, "d", read)
    assert told.value.text == '{"summary":"half'


async def test_a_whole_answer_that_is_bad_is_not_kept():
    with pytest.raises(NoAnswer) as told:
        await Played("bad").complete(REQUEST, "d", read)
    assert told.value.text == ""


async def test_the_last_seconds_of_a_run_are_not_the_models():
    model = Played("good")
    with deadline(RESERVE - 1), pytest.raises(NoAnswer):
        await model.complete(REQUEST, "d", read)
    assert model.asked == []


async def test_while_one_breaker_is_open_the_other_models_failure_is_not_the_last_word():
    model = Played(TimeoutError(), "good", time_scale=0.001)
    primary = model._chain[0][2].breaker
    for _ in range(8):
        primary.record(ok=False, probe=False)
    assert await model.complete(REQUEST, "d", read) == ("good", "fallback")
    assert [name for name, *_ in model.asked] == ["netra-small", "netra-small"]


async def test_when_both_breakers_are_open_nobody_waits():
    model = Played("good", time_scale=1)
    for _, _, policy in model._chain:
        for _ in range(8):
            policy.breaker.record(ok=False, probe=False)
    with pytest.raises(NoAnswer):
        async with asyncio.timeout(0.5):
            await model.complete(REQUEST, "d", read)
    assert model.asked == []
