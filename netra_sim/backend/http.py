"""What every HTTP route shares: bodies checked by a model, problem+json for errors, a deadline for each request."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from netra_sim.backend.errors import PlatformError
from netra_sim.backend.reliability.deadline import deadline
from netra_sim.backend.reliability.policy import Unavailable

Model = TypeVar("Model", bound=BaseModel)
log = logging.getLogger("netra.http")
MAX_BODY = 1 << 20


async def body(request: Request, model: type[Model]) -> Model:
    """The request's JSON as `model`; PlatformError `bad_request` names the first field that is wrong."""
    raw = bytearray()
    async for chunk in request.stream():  # counted as it comes: a chunked body does not say its length
        raw += chunk
        if len(raw) > MAX_BODY:
            raise PlatformError("bad_request", field="body", detail=f"The body is larger than {MAX_BODY} bytes.")
    try:
        return model.model_validate_json(bytes(raw))
    except ValidationError as error:
        raise invalid("bad_request", error) from error


def invalid(code: str, error: ValidationError, skip: int = 0) -> PlatformError:
    """What a model found wrong first, as a platform error with its `field`, less the first `skip` places of it."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"][skip:])) or "body"
    return PlatformError(code, field=field, detail=f"{field}: {first['msg']}")


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token of an Authorization header, or None."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def as_platform_error(error: Exception) -> PlatformError:
    """What the user is told about any failure; the details stay in the log."""
    if isinstance(error, PlatformError):
        return error
    if isinstance(error, Unavailable) and error.unsure:
        return PlatformError("outcome_unknown")
    if isinstance(error, Unavailable):
        code = "model_unavailable" if error.dependency.startswith("llm") else "store_unavailable"
        return PlatformError(code, retry_after_s=round(error.retry_after, 3))
    if isinstance(error, HTTPException):
        return PlatformError({404: "not_found", 405: "wrong_method"}.get(error.status_code, "bad_request"))
    return PlatformError("internal")


async def problem(request: Request, error: Exception) -> Response:
    """Starlette's exception handler: problem+json with a request id."""
    request_id = request.headers.get("x-request-id") or str(uuid.uuid4())
    told = as_platform_error(error)
    level = logging.ERROR if told.code == "internal" else logging.INFO
    facts = {"request_id": request_id, "path": request.url.path, "code": told.code, "cause": str(error)}
    log.log(level, "request failed", exc_info=error if told.code == "internal" else None, extra=facts)
    headers = {"x-request-id": request_id}
    if told.entry.status == 503:
        headers["retry-after"] = str(math.ceil(told.facts.get("retry_after_s", 1)))
    return JSONResponse(told.problem(request_id), told.entry.status, headers, media_type="application/problem+json")


class RequestDeadline:
    """ASGI middleware: everything below a request inherits its deadline."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app, self._seconds = app, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request below the deadline."""
        with deadline(self._seconds):
            await self._app(scope, receive, send)
