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

LOG_ENTRIES = 10_000
CLIENT_GONE = 499  # what the log says of a client that hung up, as nginx does


class Simulator:
    """The state of one server: its seed, its script and the log of what it was asked."""

    def __init__(self, seed: int, time_scale: float) -> None:
        """`time_scale` multiplies all latency; 0 waits for nothing."""
        self.rng = Rng(seed).child("llm")
        self.time_scale = time_scale
        self.script = script.Script()
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_ENTRIES)

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
        return _Timed(planned, started, {"draw": draw, "model": model}, self.log)

    async def models(self, request: Request) -> Response:
        """GET /v1/models."""
        if not _has_key(request):
            return _plain(_no_key())
        return Response(wire.models(), media_type=reply.JSON)

    async def set_script(self, request: Request) -> Response:
        """PUT /script: the rules from now on; an empty list clears them."""
        try:
            self.script = script.parse(orjson.loads(await request.body()))
        except orjson.JSONDecodeError as error:
            return _plain(reply.refusal(400, "invalid_json", str(error)))
        except BadValue as error:
            return _plain(reply.refusal(400, "invalid_value", str(error), error.facts["field"]))
        return Response(orjson.dumps({"rules": len(self.script.rules)}), media_type=reply.JSON)

    async def requests(self, request: Request) -> Response:
        """GET /requests: the log, oldest first; `started` is CLOCK_MONOTONIC seconds."""
        return Response(orjson.dumps(list(self.log)), media_type=reply.JSON)

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
        return asked.model, self._answer(asked, draw)

    def _answer(self, asked: question.Question, draw: str) -> reply.Reply:
        here = self.rng.child(draw)
        parts = draw.split("/")
        do = self.script.behaviour(here, asked.model, parts[2] if len(parts) > 2 else "")
        if refused := reply.scripted_error(do):
            return refused
        step = here.child(answer.stage(asked))
        head = {"id": f"chatcmpl-{step.digest():016x}", "created": int(time.time()), "model": asked.model}
        pace = latency.pace(step, self.time_scale)
        return reply.plan(asked, answer.compose(here, asked), pace, do, head)


class _Timed(Response):
    """Sends the parts of a reply at their due times, counted from the request, and writes the log."""

    def __init__(self, planned: reply.Reply, started: float, entry: dict[str, Any], log: deque[dict[str, Any]]) -> None:
        self.planned, self.started, self.entry, self.log = planned, started, entry, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is due until all is said, the connection is to be cut, or the client hangs up."""
        tokens, status = 0, CLIENT_GONE
        try:
            for number, part in enumerate(self.planned.parts):
                if await _gone_before(receive, self.started + part.due_s):
                    return
                if number == 0:
                    await send(self._start())
                await send({"type": "http.response.body", "body": part.data, "more_body": True})
                tokens = part.tokens
            status = self.planned.status
            if self.planned.whole:
                await send({"type": "http.response.body", "body": b""})
            # Else returning here makes uvicorn close the connection in the middle of the body.
        finally:
            seconds = time.monotonic() - self.started
            told = {"status": status, "tokens": tokens, "started": self.started, "seconds": round(seconds, 6)}
            self.log.append({**self.entry, **told})

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
            while (await receive())["type"] != "http.disconnect":
                continue
    except TimeoutError:
        return False
    return True


def _has_key(request: Request) -> bool:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(key.strip())


def _no_key() -> reply.Reply:
    return reply.refusal(401, "invalid_api_key", "No API key was given; any key is accepted as a Bearer token.")


def _plain(refused: reply.Reply) -> Response:
    return Response(refused.parts[0].data, status_code=refused.status, media_type=refused.media)
