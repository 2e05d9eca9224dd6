"""The client of any OpenAI-compatible server: streamed completions, each model under its policy, one after another."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Literal, TypeVar

import aiohttp
import orjson

from netra_sim.backend.agents.sse import Completion
from netra_sim.backend.config import Settings
from netra_sim.backend.reliability.deadline import deadline, remaining
from netra_sim.backend.reliability.policy import BREAKER_OPEN, Policy, Unavailable

FIRST_TOKEN, BETWEEN_TOKENS = 15.0, 5.0
RESERVE = 5.0  # seconds of a run's time that are left for an answer without the model
PATIENCE = 5.0  # seconds that a call waits for a model whose breaker is open, when the other one has just failed
TRIES = 2  # of each model, for an answer that can be used
DRAIN = 0.05  # seconds that the end of a stream may come after its end mark, for the connection to be used again
LINE = 1 << 20  # bytes of a line at most
By = Literal["primary", "fallback", "rule"]
T = TypeVar("T")


class ModelError(Exception):
    """The model answered with an error or with something that is no completion."""

    def __init__(self, status: int, detail: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status}: {detail}")
        self.status, self.retry_after = status, retry_after


class BadAnswer(Exception):
    """The model's answer cannot be used; the text says why, for the model too."""


class NoAnswer(Exception):
    """No model gave an answer that can be used; `text` is the longest one that broke off."""

    def __init__(self, cause: Exception, text: str) -> None:
        super().__init__(str(cause))
        self.text = text


def transient(error: BaseException) -> bool:
    """Timeout, connection, rate limit and unavailable are worth another try; refusals are final."""
    if isinstance(error, ModelError):
        return error.status == 429 or error.status >= 500
    return isinstance(error, aiohttp.ClientError | OSError | TimeoutError | ValueError)


class Model:
    """Primary model, then the fallback model, if there is one."""

    def __init__(self, settings: Settings, primary: Policy, fallback: Policy | None) -> None:
        self._settings = settings
        self._chain: list[tuple[By, str, Policy]] = [("primary", settings.primary_model, primary)]
        if fallback is not None:
            self._chain.append(("fallback", settings.fallback_model, fallback))
        self._url = settings.llm_url.rstrip("/")
        self._waits = "timeout" not in settings.without

    async def close(self) -> None:
        """Close every connection."""
        if "_http" in self.__dict__:
            await self._http.close()

    @cached_property
    def _http(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            headers={"authorization": f"Bearer {self._settings.llm_key}"},
            timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(limit=self._settings.agents_at_once * 2),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=LINE,
        )

    async def ping(self) -> bool:
        """True when the server answers its model list."""
        try:
            async with (
                asyncio.timeout(self._settings.scaled(5.0)),
                self._http.get(f"{self._url}/models") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def complete(self, request: dict[str, Any], draw: str, read: Callable[[Completion], T]) -> tuple[T, By]:
        """What `read` makes of a completion, and whose it is; NoAnswer when no model gave a usable one.

        `read` raises BadAnswer for what cannot be used. `draw` names the call; each attempt adds its number.
        When one model failed and only the other's breaker is open, both are asked once more: that is no outage.
        """
        heard: list[Completion] = []
        draws = (f"{draw}/{attempt}" for attempt in itertools.count(1))
        with deadline(remaining() - self._settings.scaled(RESERVE)):
            for last in (False, True):
                waits, asked = list[float](), list[float]()
                for by, model, policy in self._chain:
                    try:
                        return await self._usable(policy, {**request, "model": model}, draws, read, heard), by
                    except (Unavailable, ModelError, BadAnswer) as error:
                        trouble = error
                        waits.append(_until_probe(error))
                        asked.append(float(getattr(error.__cause__, "retry_after", 0.0)))
                if last or not any(waits) or all(waits):
                    break
                await asyncio.sleep(max(min(max(waits), self._settings.scaled(PATIENCE)), *asked))
        raise NoAnswer(trouble, max((c.text for c in heard if not c.done), key=len, default="")) from trouble

    async def _usable(
        self,
        policy: Policy,
        request: dict[str, Any],
        draws: Iterator[str],
        read: Callable[[Completion], T],
        heard: list[Completion],
    ) -> T:
        """One model's answer; it is told once what was wrong with its first."""
        for left in reversed(range(TRIES)):
            answer = await self._under(policy, request, draws, heard)
            try:
                return read(answer)
            except BadAnswer as error:
                if not left:
                    raise
                told = {"role": "system", "content": f"Your last answer could not be used: {error}. Answer again."}
                request = {**request, "messages": [*request["messages"], told]}
        raise AssertionError("unreachable")

    async def _under(
        self, policy: Policy, request: dict[str, Any], draws: Iterator[str], heard: list[Completion]
    ) -> Completion:
        async def attempt() -> Completion:
            heard.append(Completion())
            await self._stream(request, next(draws), heard[-1])
            return heard[-1]

        return await policy.run(attempt)

    async def _stream(self, request: dict[str, Any], draw: str, answer: Completion) -> None:
        """Fill `answer` from the stream; TimeoutError when nothing is said for too long."""
        body = orjson.dumps({**request, "stream": True, "stream_options": {"include_usage": True}})
        headers = {"content-type": "application/json", "x-netra-draw": draw}
        async with (
            asyncio.timeout_at(self._until(FIRST_TOKEN)) as idle,
            self._http.post(f"{self._url}/chat/completions", data=body, headers=headers) as response,
        ):
            if response.status != 200:
                raise refusal(response.status, response.headers.get("retry-after", "0"), await response.text())
            async for line in response.content:
                before = answer.said
                answer.feed(line.decode())
                if answer.done:
                    await _drain(response)
                    return
                if answer.said > before:  # keep-alives are no tokens
                    idle.reschedule(self._until(BETWEEN_TOKENS))
        raise ModelError(502, "the stream ended before its end mark")

    def _until(self, seconds: float) -> float | None:
        return asyncio.get_running_loop().time() + self._settings.scaled(seconds) if self._waits else None


def _until_probe(error: Exception) -> float:
    """Seconds until an open breaker lets a call out; 0 for any other trouble."""
    return error.retry_after if isinstance(error, Unavailable) and error.cause == BREAKER_OPEN else 0.0


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read on to the stream's end; one that has none in time costs its connection, not its answer."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(DRAIN):
            await response.read()


def refusal(status: int, after: str, text: str) -> ModelError:
    """The error in an answer; `after` is its Retry-After, of which seconds are understood."""
    return ModelError(status, text[:200], float(after) if after.replace(".", "", 1).isdigit() else 0.0)
