"""A client of the model server's scripts: one run's rules, and what the run asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from netra_sim.kernel.errors import FaultError

Rules = Sequence[Mapping[str, Any]]


class ScriptControl:
    """Sets rules for the requests of one API key; FaultError when the server refuses or has gone."""

    def __init__(self, url: str, key: str) -> None:
        """`url` is the server's, past the proxies, with or without its path /v1."""
        self._key = key
        self._client = httpx.AsyncClient(base_url=url.removesuffix("/v1"), trust_env=False, timeout=10.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def put(self, name: str, rules: Rules) -> int:
        """Put the rules named so in force, or remove them when there are none; the hits of those replaced."""
        told = await self._ask("PUT", "/script", {"key": self._key, "name": name}, list(rules))
        return int(told["hits"])

    async def log(self) -> list[dict[str, Any]]:
        """Every request of this key that has ended, oldest first."""
        told: list[dict[str, Any]] = await self._ask("GET", "/requests", {"key": self._key})
        return told

    async def _ask(self, method: str, path: str, where: dict[str, str], body: Any = None) -> Any:
        try:
            answer = await self._client.request(method, path, params=where, json=body)
        except httpx.HTTPError as error:
            raise FaultError(detail=f"The model server does not answer: {error!r}.") from error
        if answer.is_error:
            raise FaultError(detail=f"The model server refused {method} {path}: {answer.text.strip()}")
        return answer.json()
