"""Defects of the language model's client."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from netra_sim.backend.agents.llm import BadAnswer, By, Model, ModelError, NoAnswer
from netra_sim.backend.agents.sse import Completion
from netra_sim.backend.parts import Parts

T = TypeVar("T")


def naive_model_client(parts: Parts) -> Parts:
    """Retry-After is not read, a text that breaks off is thrown away, and a report is shown raw when it is no JSON."""

    class Naive(Model):
        async def complete(self, request: dict[str, Any], draw: str, read: Callable[[Completion], T]) -> tuple[T, By]:
            try:
                return await super().complete(request, draw, lambda completion: _taken(completion, request, read))
            except NoAnswer as error:
                raise NoAnswer(error, "") from error

        async def _stream(self, request: dict[str, Any], draw: str, answer: Completion) -> None:
            try:
                await super()._stream(request, draw, answer)
            except ModelError as error:
                error.retry_after = 0.0
                raise

    return replace(parts, model=Naive)


def model_given_up(parts: Parts) -> Parts:
    """Once a call of the model has failed, it is never asked again."""

    class Resigned(Model):
        _resigned = False

        async def complete(self, request: dict[str, Any], draw: str, read: Callable[[Completion], T]) -> tuple[T, By]:
            if self._resigned:
                raise NoAnswer(BadAnswer("given up"), "")
            return await super().complete(request, draw, read)

        async def _stream(self, request: dict[str, Any], draw: str, answer: Completion) -> None:
            try:
                await super()._stream(request, draw, answer)
            except Exception:
                self._resigned = True
                raise

    return replace(parts, model=Resigned)


def _taken(completion: Completion, request: dict[str, Any], read: Callable[[Completion], T]) -> T:
    try:
        return read(completion)
    except BadAnswer:
        if request.get("response_format", {}).get("json_schema", {}).get("name") != "reporting":
            raise
        raw: Any = {"summary": completion.text, "next": ""}
        return raw  # type: ignore[no-any-return]
