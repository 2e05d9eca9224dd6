"""A chat completion request, checked and reduced to what an answer depends on. No I/O.

The shape is that of https://platform.openai.com/docs/api-reference/chat/create.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from netra_sim.kernel.errors import BadValue

ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool on offer: its name and the JSON schema of its arguments."""

    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks: `results` are the tools' answers by tool name, `asked` the last user message."""

    model: str
    asked: str
    tools: tuple[Tool, ...]
    results: Mapping[str, Any]
    answered: bool
    schema: Mapping[str, Any] | None
    stream: bool
    include_usage: bool
    characters: int


def parse(body: Any) -> Question:
    """The question in a request body; BadValue names the field that is wrong."""
    _need(isinstance(body, dict), "body", body, "a JSON object")
    _need(isinstance(body.get("model"), str), "model", body.get("model"), "a model's name")
    messages = body.get("messages")
    _need(isinstance(messages, list) and messages, "messages", messages, "a list of at least one message")
    for number, message in enumerate(messages):
        _check_message(f"messages[{number}]", message)
    stream = body.get("stream") or False
    _need(isinstance(stream, bool), "stream", stream, "true or false")
    return Question(
        model=body["model"],
        asked=next((_text(m) for m in reversed(messages) if m["role"] == "user"), ""),
        tools=_tools(body),
        results=_results(messages),
        answered=any(m["role"] == "tool" for m in messages),
        schema=_schema(body.get("response_format")),
        stream=stream,
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        characters=sum(len(_text(m)) for m in messages),
    )


def _need(holds: object, field: str, value: Any, allowed: str) -> None:
    if not holds:
        raise BadValue(field=field, value=value, allowed=allowed)


def _check_message(where: str, message: Any) -> None:
    _need(isinstance(message, dict), where, message, "an object with role and content")
    _need(message.get("role") in ROLES, f"{where}.role", message.get("role"), ", ".join(ROLES))
    content, may_be_empty = message.get("content"), message["role"] == "assistant"
    fits = isinstance(content, str | list) or (content is None and may_be_empty)
    _need(fits, f"{where}.content", content, "text or a list of parts")
    if message["role"] == "tool":
        call = message.get("tool_call_id")
        _need(isinstance(call, str), f"{where}.tool_call_id", call, "the id of the call it answers")


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    """The tools that may be called: all on offer, less what tool_choice and parallel_tool_calls take away."""
    offered = body.get("tools") or []
    _need(isinstance(offered, list), "tools", offered, "a list of tools")
    tools = tuple(_tool(f"tools[{number}]", tool) for number, tool in enumerate(offered))
    choice = body.get("tool_choice")
    if choice == "none":
        return ()
    if isinstance(choice, dict):
        tools = tuple(t for t in tools if t.name == choice.get("function", {}).get("name"))
    return tools[:1] if body.get("parallel_tool_calls") is False else tools


def _tool(where: str, tool: Any) -> Tool:
    function: Any = tool.get("function") if isinstance(tool, dict) else None
    _need(isinstance(function, dict), f"{where}.function", function, "an object with name and parameters")
    name, parameters = function.get("name"), function.get("parameters") or {}
    _need(isinstance(name, str) and name, f"{where}.function.name", name, "a name")
    _need(isinstance(parameters, dict), f"{where}.function.parameters", parameters, "a JSON schema")
    return Tool(name, parameters)


def _results(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Each tool's result, by the name that its call gave; the last result of a tool counts."""
    calls = [call for m in messages for call in m.get("tool_calls") or [] if isinstance(call, dict)]
    names = {call.get("id"): (call.get("function") or {}).get("name") for call in calls}
    results = {}
    for message in messages:
        if message["role"] == "tool" and (name := names.get(message["tool_call_id"])):
            results[name] = _json(_text(message))
    return results


def _json(text: str) -> Any:
    """The value in a tool message, which may also be plain text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _schema(wanted: Any) -> Mapping[str, Any] | None:
    if wanted is None or wanted == {"type": "text"}:
        return None
    _need(isinstance(wanted, dict), "response_format", wanted, "an object with a type")
    kind = wanted.get("type")
    if kind == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string", "description": "the answer"}}}
    _need(kind == "json_schema", "response_format.type", kind, "text, json_object or json_schema")
    schema: Any = (wanted.get("json_schema") or {}).get("schema")
    _need(isinstance(schema, dict), "response_format.json_schema.schema", schema, "a JSON schema")
    return dict(schema)
