"""A streamed chat completion, put together from its chunks. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call that the model asks for."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Completion:
    """What has arrived so far; `done` only after the end mark."""

    text: str = ""
    done: bool = False
    finish: str | None = None
    tokens: int = 0
    said: int = 0  # characters of text and of tool calls
    _calls: dict[int, list[str]] = field(default_factory=dict)

    def feed(self, line: str) -> None:
        """One line of the event stream; ValueError when its data is not a chunk."""
        if not line.startswith("data:"):
            return
        data = line[5:].strip()
        if data == "[DONE]":
            self.done = True
            return
        chunk = orjson.loads(data)
        if not isinstance(chunk, dict):
            raise ValueError("a chunk is not an object")
        try:
            self.tokens = (chunk.get("usage") or {}).get("total_tokens", self.tokens)
            for choice in chunk.get("choices") or []:
                self.finish = choice.get("finish_reason") or self.finish
                self._delta(choice.get("delta") or {})
        except (AttributeError, TypeError) as error:
            raise ValueError(f"a chunk has another shape: {error}") from error

    @property
    def calls(self) -> list[Call]:
        """The tool calls, in their order."""
        return [Call(id_, name, arguments) for _, (id_, name, arguments) in sorted(self._calls.items())]

    def _delta(self, delta: dict[str, Any]) -> None:
        text = delta.get("content") or ""
        self.text += text
        self.said += len(text)
        for part in delta.get("tool_calls") or []:
            call = self._calls.setdefault(part.get("index", 0), ["", "", ""])
            function = part.get("function") or {}
            call[0] = part.get("id") or call[0]
            call[1] = function.get("name") or call[1]
            call[2] += function.get("arguments") or ""
            self.said += len(function.get("name") or "") + len(function.get("arguments") or "")
