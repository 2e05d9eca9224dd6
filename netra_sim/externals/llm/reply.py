"""A reply as data: what goes out, when, and whether it ends as it should. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from netra_sim.externals.llm import wire
from netra_sim.externals.llm.answer import Answer, misfit, mistake, overcharge, spoil
from netra_sim.externals.llm.latency import Pace
from netra_sim.externals.llm.question import Question
from netra_sim.externals.llm.script import Behaviour

JSON, STREAM = "application/json", "text/event-stream; charset=utf-8"


class Part(NamedTuple):
    """Bytes that are due `due_s` seconds after the request came, when `tokens` tokens have been said."""

    due_s: float
    tokens: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply; one that is not `whole` ends with a broken connection, or with silence when it `stalls`."""

    status: int
    media: str
    parts: tuple[Part, ...]
    whole: bool = True
    length: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stalls: bool = False
    outcome: str = "ok"


def refusal(status: int, code: str, message: str, param: str | None = None) -> Reply:
    """An error at once."""
    body = wire.error(status, code, message, param)
    return Reply(status, JSON, (Part(0, 0, body),), length=len(body), outcome="refused")


def scripted_error(do: Behaviour) -> Reply | None:
    """The error that a behaviour asks for; a Retry-After alone means 429, a 429 alone means one second."""
    status = do.status or (429 if do.retry_after is not None else None)
    if status is None:
        return None
    code = "rate_limit_exceeded" if status == 429 else f"scripted_{status}"
    body = wire.error(status, code, f"The simulator's script answers this request with {status}.")
    after = 1 if status == 429 and do.retry_after is None else do.retry_after
    headers = {} if after is None else {"retry-after": f"{after:g}"}
    part = Part(do.delay_s, 0, body)
    return Reply(status, JSON, (part,), length=len(body), headers=headers, outcome="refused")


def plan(question: Question, answer: Answer, pace: Pace, do: Behaviour, head: dict[str, Any]) -> Reply:
    """The reply that carries an answer, with what the script does to it."""
    wrong = ((do.malformed, spoil), (do.wrong_schema, misfit), (do.wrong_tool, mistake), (do.wrong_usage, overcharge))
    for done, change in wrong:
        answer = change(answer) if done else answer
    return _streamed(question, answer, pace, do, head) if question.stream else _whole(answer, pace, do, head)


def _streamed(question: Question, answer: Answer, pace: Pace, do: Behaviour, head: dict[str, Any]) -> Reply:
    events = wire.events(answer, head, question.include_usage)
    ends = [n for n in (do.cut_after_tokens, do.stall_after_tokens) if n is not None]
    said = [e for e in events if not ends or e[0] <= min(ends)]
    parts = tuple(Part(do.delay_s + pace.due(tokens), tokens, data) for tokens, data in said)
    whole, stalls = len(said) == len(events), do.stall_after_tokens is not None
    return Reply(200, STREAM, parts, whole, stalls=stalls and not whole, outcome=do.name)


def _whole(answer: Answer, pace: Pace, do: Behaviour, head: dict[str, Any]) -> Reply:
    body, tokens, whole = wire.body(answer, head), answer.completion_tokens, True
    length = len(body)
    if do.cut_after_tokens is not None and do.cut_after_tokens < tokens:
        body, tokens, whole = body[: length // 2], do.cut_after_tokens, False
    if do.stall_after_tokens is not None and do.stall_after_tokens < tokens:
        return Reply(200, JSON, (), whole=False, stalls=True, outcome=do.name)
    return Reply(200, JSON, (Part(do.delay_s + pace.due(tokens), tokens, body),), whole, length, outcome=do.name)
