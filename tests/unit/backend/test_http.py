import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import orjson
import pytest
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request

from netra_sim.backend.errors import PlatformError
from netra_sim.backend.http import MAX_BODY, RequestDeadline, as_platform_error, bearer, body, problem
from netra_sim.backend.reliability.deadline import remaining
from netra_sim.backend.reliability.policy import Unavailable


class Given(BaseModel):
    email: str
    age: int = 0


def request(chunks: Iterable[bytes] = (b"",), headers: dict[str, str] | None = None) -> Request:
    async def stream() -> AsyncIterator[dict[str, Any]]:
        for chunk in chunks:
            yield {"type": "http.request", "body": chunk, "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    raw = [(k.encode(), v.encode()) for k, v in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": raw, "server": ("h", 80)}
    return Request(scope, stream().__anext__)


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer  abc "}, "abc"),
        ({"authorization": "Basic abc"}, None),
        ({"authorization": "Bearer"}, ""),
        ({}, None),
    ],
)
def test_bearer(headers: dict[str, str], token: str | None):
    assert bearer(headers) == token


async def test_a_body_becomes_its_model():
    given = await body(request([b'{"email": "a', b'@b.c"}']), Given)
    assert given == Given(email="a@b.c")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b"{}", "email"),
        (b'{"email": "a", "age": "x"}', "age"),
        (b"\xff", "body"),
    ],
)
async def test_a_wrong_body_names_its_field(text: bytes, field: str):
    with pytest.raises(PlatformError) as told:
        await body(request([text]), Given)
    assert (told.value.code, told.value.facts["field"]) == ("bad_request", field)
    assert told.value.facts["detail"].startswith(field)


async def test_a_body_that_does_not_say_how_long_it_is_is_cut_off():
    read = 0

    def endless() -> Iterable[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b" " * 100_000

    with pytest.raises(PlatformError) as told:
        await body(request(endless()), Given)
    assert told.value.facts["field"] == "body"
    assert read * 100_000 <= MAX_BODY + 200_000


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PlatformError("no_token"), "no_token"),
        (Unavailable("postgres", 3, "x", 0.12345), "store_unavailable"),
        (Unavailable("redis", 3, "x", 1), "store_unavailable"),
        (Unavailable("llm_fallback", 3, "x", 1), "model_unavailable"),
        (HTTPException(404), "not_found"),
        (HTTPException(405), "wrong_method"),
        (HTTPException(400), "bad_request"),
        (KeyError("secret"), "internal"),
    ],
)
def test_what_the_user_is_told(error: Exception, code: str):
    told = as_platform_error(error)
    assert told.code == code
    assert "secret" not in str(told)
    if isinstance(error, Unavailable):
        assert told.facts == {"retry_after_s": round(error.retry_after, 3)}


def test_where_nobody_knows_whether_it_was_done_no_refusal_is_told():
    lost = Unavailable("postgres", 1, "ConnectionDoesNotExistError", 0.1)
    lost.unsure = True
    told = as_platform_error(lost)
    assert (told.code, told.entry.status) == ("outcome_unknown", 504)


async def test_a_problem_is_problem_json_with_the_callers_request_id():
    response = await problem(request(headers={"x-request-id": "r-1"}), PlatformError("email_taken", field="email"))
    told = orjson.loads(response.body)
    assert (response.status_code, response.media_type) == (409, "application/problem+json")
    assert (told["code"], told["field"], told["request_id"]) == ("email_taken", "email", "r-1")
    assert response.headers["x-request-id"] == "r-1"
    assert "retry-after" not in response.headers


@pytest.mark.parametrize(("wait", "header"), [(0.05, "1"), (1.0, "1"), (4.2, "5")])
async def test_503_says_when_to_try_again(wait: float, header: str):
    response = await problem(request(), Unavailable("postgres", 3, "x", wait))
    assert (response.status_code, response.headers["retry-after"]) == (503, header)


async def test_a_request_runs_below_its_deadline():
    seen: list[float] = []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(remaining())

    await RequestDeadline(app, 5)({}, None, None)  # type: ignore[arg-type]
    assert 4 < seen[0] <= 5
    assert remaining() > 1e9
    await asyncio.sleep(0)
