"""The client of any OpenAI-compatible server: streamed completions under the model's policy."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import httpx
import orjson

from netra_sim.backend.agents.sse import Completion
from netra_sim.backend.config import Settings
from netra_sim.backend.reliability.policy import Policy, Unavailable

FIRST_TOKEN, BETWEEN_TOKENS = 15.0, 5.0
CLIENTS = 8  # one httpx client slows down with many requests at once; a few share the load


class ModelError(Exception):
    """The model answered with an error or with something that is no completion."""

    def __init__(self, status: int, detail: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status}: {detail}")
        self.status, self.retry_after = status, retry_after


def transient(error: BaseException) -> bool:
    """Timeout, connection, rate limit and unavailable are worth another try; refusals are final."""
    if isinstance(error, ModelError):
        return error.status == 429 or error.status >= 500
    return isinstance(error, httpx.TransportError | TimeoutError | ValueError)


class Model:
    """Primary model, then the fallback model."""

    def __init__(self, settings: Settings, primary: Policy, fallback: Policy) -> None:
        self._settings = settings
        self._chain = ((settings.primary_model, primary), (settings.fallback_model, fallback))
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=32)
        make = {
            "base_url": settings.llm_url,
            "timeout": None,
            "limits": limits,
            "trust_env": False,
            "verify": settings.llm_url.startswith("https"),  # for http, no time is spent on loading certificates
            "headers": {"authorization": f"Bearer {settings.llm_key}"},
        }
        self._clients = [httpx.AsyncClient(**make) for _ in range(CLIENTS)]  # type: ignore[arg-type]
        self._turn = itertools.cycle(self._clients)
        self._waits = "timeout" not in settings.without

    async def close(self) -> None:
        """Close every connection."""
        for client in self._clients:
            await client.aclose()

    async def ping(self) -> bool:
        """True when the server answers its model list."""
        try:
            answer = await next(self._turn).get("/models", timeout=self._settings.scaled(5.0))
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    async def complete(self, request: dict[str, Any], draw: str) -> Completion:
        """The completion of a request; Unavailable when neither model gave one."""
        for model, policy in self._chain[:-1]:
            try:
                return await self._under(policy, {**request, "model": model}, draw)
            except Unavailable:
                continue
        model, policy = self._chain[-1]
        return await self._under(policy, {**request, "model": model}, draw)

    async def _under(self, policy: Policy, request: dict[str, Any], draw: str) -> Completion:
        attempts = itertools.count(1)
        return await policy.run(lambda: self._stream(request, f"{draw}/{next(attempts)}"))

    async def _stream(self, request: dict[str, Any], draw: str) -> Completion:
        body = orjson.dumps({**request, "stream": True, "stream_options": {"include_usage": True}})
        headers = {"content-type": "application/json", "x-netra-draw": draw}
        answer = Completion()
        async with next(self._turn).stream("POST", "/chat/completions", content=body, headers=headers) as response:
            if response.status_code != 200:
                raise await _refusal(response)
            lines = response.aiter_lines()
            wait = FIRST_TOKEN
            while not answer.done:
                async with asyncio.timeout(self._settings.scaled(wait) if self._waits else None):
                    line = await anext(lines, None)
                if line is None:
                    raise ModelError(502, "the stream ended before its end mark")
                answer.feed(line)
                wait = BETWEEN_TOKENS
        return answer


async def _refusal(response: httpx.Response) -> ModelError:
    after = response.headers.get("retry-after", "0")
    text = (await response.aread()).decode("utf-8", "replace")[:200]
    return ModelError(response.status_code, text, float(after) if after.replace(".", "", 1).isdigit() else 0.0)
