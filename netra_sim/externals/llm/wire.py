"""Bodies and server-sent events of the OpenAI API, as bytes. No I/O."""

from __future__ import annotations

from typing import Any

import orjson

from netra_sim.externals.llm import prose
from netra_sim.externals.llm.answer import Answer, Call

MODELS = ("netra-large", "netra-small")
CHUNK_TOKENS = 6
DONE = b"data: [DONE]\n\n"
_KINDS = {401: "authentication_error", 429: "rate_limit_error"}


def error(status: int, code: str, message: str, param: str | None = None) -> bytes:
    """An error body."""
    kind = _KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def models() -> bytes:
    """The list of models served."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "netra-sim"} for name in MODELS]
    return orjson.dumps({"object": "list", "data": data})


def body(answer: Answer, head: dict[str, Any]) -> bytes:
    """A whole completion; `head` is its id, model and time of creation."""
    message = {
        "role": "assistant",
        "content": answer.text or None,
        **({"tool_calls": [_call(call) for call in answer.calls]} if answer.calls else {}),
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    return orjson.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": _usage(answer)})


def events(answer: Answer, head: dict[str, Any], include_usage: bool) -> list[tuple[int, bytes]]:
    """The stream as events, each with the number of tokens said once it is out; the last ends with [DONE]."""
    said, out = 0, []
    for delta, tokens in _deltas(answer):
        said += tokens
        out.append((said, _event(head, [_choice(delta, None)], include_usage)))
    out.append((said, _event(head, [_choice({}, answer.finish_reason)], include_usage)))
    if include_usage:
        out.append((said, _event(head, [], usage=_usage(answer))))
    out.append((said, DONE))
    return out


def _deltas(answer: Answer) -> list[tuple[dict[str, Any], int]]:
    """What each event adds, with the tokens in it."""
    deltas: list[tuple[dict[str, Any], int]] = [({"role": "assistant", "content": None if answer.calls else ""}, 0)]
    deltas += [({"content": piece}, prose.tokens(piece)) for piece in _pieces(answer.text)]
    for index, call in enumerate(answer.calls):
        empty = _call(Call(call.id, call.name, ""))
        deltas.append(({"tool_calls": [{"index": index, **empty}]}, prose.tokens(call.name)))
        for piece in _pieces(call.arguments):
            deltas.append(({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, prose.tokens(piece)))
    return deltas


def _pieces(text: str) -> list[str]:
    size = CHUNK_TOKENS * prose.CHARACTERS_A_TOKEN
    return [text[start : start + size] for start in range(0, len(text), size)]


def _call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _usage(answer: Answer) -> dict[str, int]:
    prompt, completion = answer.prompt_tokens, answer.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _choice(delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _event(
    head: dict[str, Any],
    choices: list[dict[str, Any]],
    include_usage: bool = False,
    usage: dict[str, int] | None = None,
) -> bytes:
    """One event; with usage asked for, each but the last says `usage: null`, as the API's document has it."""
    told = {"usage": usage} if usage or include_usage else {}
    return b"data: " + orjson.dumps({**head, "object": "chat.completion.chunk", "choices": choices, **told}) + b"\n\n"
