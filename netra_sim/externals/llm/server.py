"""The sockets of the simulated LLM: routes, timed replies, the request log."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from netra_sim.externals.llm import answer, latency, question, reply, script, wire
from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.rng import Rng

LOG_ENTRIES = 50_000  # of all keys together
RESET = "reset"  # the place in a scope's state of the function that resets its connection
CLIENT_GONE = 499  # what the log says of a client that hung up, as nginx does


class Simulator:
    """The state of one server: its seed, its scripts and the log of what it was asked."""

    def __init__(self, seed: int, time_scale: float) -> None:
        """`time_scale` multiplies all latency; 0 waits for nothing."""
        self.rng = Rng(seed).child("llm")
        self.time_scale = time_scale
        self.scripts = script.Scripts()
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_ENTRIES)
        self.under_way: set[_Timed] = set()

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.completions, methods=["POST"]),
                Route("/v1/models", self.models),
                Route("/script", self.set_script, methods=["PUT"]),
                Route("/requests", self.requests),
            ]
        )

    async def completions(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        started = time.monotonic()
        raw = await request.body()
        draw = request.headers.get("x-netra-draw") or hashlib.blake2b(raw, digest_size=16).hexdigest()
        model, planned = self._plan(request, raw, draw)
        entry = {"key": _key(request), "draw": draw, "model": model, "agent": _agent(draw), "at": time.time()}
        return _Timed(planned, started, entry, self)

    async def models(self, request: Request) -> Response:
        """GET /v1/models."""
        if not _has_key(request):
            return _plain(_no_key())
        return Response(wire.models(), media_type=reply.JSON)

    async def set_script(self, request: Request) -> Response:
        """PUT /script?key=&name=: rules for the requests with this API key (none: with any); an empty list clears them.

        Scripts of several names are in force together. `hits` is how many requests the one replaced has struck.
        """
        try:
            new = script.parse(orjson.loads(await request.body()))
        except orjson.JSONDecodeError as error:
            return _plain(reply.refusal(400, "invalid_json", str(error)))
        except BadValue as error:
            return _plain(reply.refusal(400, "invalid_value", str(error), error.facts["field"]))
        hits = self.scripts.put(request.query_params.get("key", ""), request.query_params.get("name", ""), new)
        return Response(orjson.dumps({"rules": len(new.rules), "hits": hits}), media_type=reply.JSON)

    async def requests(self, request: Request) -> Response:
        """GET /requests?key=: the log of one API key or of all: those that ended, then those under way (no status).

        `at` is the request's wall time and `started` its CLOCK_MONOTONIC, both in seconds; `silent` is how long
        nothing had been said when it ended.
        """
        key = request.query_params.get("key")
        told = [*self.log, *(timed.told(None) for timed in self.under_way)]
        return Response(orjson.dumps([e for e in told if key in (None, e["key"])]), media_type=reply.JSON)

    def _plan(self, request: Request, raw: bytes, draw: str) -> tuple[str | None, reply.Reply]:
        """The model asked for, as far as known, and the reply."""
        if not _has_key(request):
            return None, _no_key()
        try:
            asked = question.parse(orjson.loads(raw))
        except orjson.JSONDecodeError as error:
            return None, reply.refusal(400, "invalid_json", f"The body is not JSON: {error}")
        except BadValue as error:
            return None, reply.refusal(400, "invalid_value", str(error), error.facts["field"])
        if asked.model not in wire.MODELS:
            message = f"The model {asked.model!r} does not exist; there are {', '.join(wire.MODELS)}."
            return asked.model, reply.refusal(404, "model_not_found", message, "model")
        return asked.model, self._answer(asked, draw, _key(request))

    def _answer(self, asked: question.Question, draw: str, key: str) -> reply.Reply:
        here = self.rng.child(draw)
        do = self.scripts.behaviour(key, here, asked.model, _agent(draw))
        if do.reset:
            return reply.Reply(0, reply.JSON, (), whole=False, outcome=do.name)
        if refused := reply.scripted_error(do):
            return refused
        step = here.child(answer.stage(asked))
        head = {"id": f"chatcmpl-{step.digest():016x}", "created": int(time.time()), "model": asked.model}
        pace = latency.pace(step, self.time_scale)
        return reply.plan(asked, answer.compose(here, asked), pace, do, head)


class _Timed(Response):
    """Sends the parts of a reply at their due times, counted from the request, and writes the log."""

    def __init__(self, planned: reply.Reply, started: float, entry: dict[str, Any], simulator: Simulator) -> None:
        self.planned, self.started, self.entry, self.simulator = planned, started, entry, simulator
        self.outcome, self.tokens, self.spoke = planned.outcome, 0, started

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is due until all is said, the connection is to be cut, or the client hangs up."""
        status = CLIENT_GONE
        self.simulator.under_way.add(self)
        try:
            status = await self._send(scope, receive, send)
        finally:
            self.simulator.under_way.discard(self)
            self.simulator.log.append(self.told(status))

    def told(self, status: int | None) -> dict[str, Any]:
        """The log's entry; no status while it is under way."""
        now = time.monotonic()
        told = {**self.entry, "status": status, "outcome": self.outcome, "tokens": self.tokens}
        told |= {"started": self.started, "seconds": round(now - self.started, 6), "silent": round(now - self.spoke, 6)}
        after = self.planned.headers.get("retry-after")
        return told if after is None else {**told, "retry_after": float(after)}

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> int:
        """The status for the log."""
        if self.outcome == "reset":
            scope["state"][RESET]()
            return 0
        for number, part in enumerate(self.planned.parts):
            if await _gone_before(receive, self.started + part.due_s):
                self.outcome = "gone" if self.outcome == "ok" else self.outcome
                return CLIENT_GONE
            if number == 0:
                await send(self._start())
            await send({"type": "http.response.body", "body": part.data, "more_body": True})
            self.tokens, self.spoke = part.tokens, time.monotonic()
        if self.planned.stalls:
            await _gone(receive)
            return CLIENT_GONE
        if self.planned.whole:
            await send({"type": "http.response.body", "body": b""})
        # Else returning here makes uvicorn close the connection in the middle of the body.
        return self.planned.status

    def _start(self) -> dict[str, Any]:
        length = {} if self.planned.length is None else {"content-length": str(self.planned.length)}
        headers = {"content-type": self.planned.media, **length, **self.planned.headers}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        return {"type": "http.response.start", "status": self.planned.status, "headers": raw}


async def _gone_before(receive: Receive, due: float) -> bool:
    """Wait until `due` (CLOCK_MONOTONIC seconds); True as soon as the client has hung up."""
    left = due - time.monotonic()
    if left <= 0:
        return False
    try:
        async with asyncio.timeout(left):
            await _gone(receive)
    except TimeoutError:
        return False
    return True


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _agent(draw: str) -> str:
    """The agent that a draw user/message/agent/… names, if it does."""
    parts = draw.split("/")
    return parts[2] if len(parts) > 2 else ""


def _key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _has_key(request: Request) -> bool:
    return bool(_key(request))


def _no_key() -> reply.Reply:
    return reply.refusal(401, "invalid_api_key", "No API key was given; any key is accepted as a Bearer token.")


def _plain(refused: reply.Reply) -> Response:
    return Response(refused.parts[0].data, status_code=refused.status, media_type=refused.media)
