import httpx
import pytest

from netra_sim.backend.agents.llm import ModelError, _refusal, transient


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ModelError(429, ""), True), (ModelError(500, ""), True), (ModelError(503, ""), True),
        (ModelError(400, ""), False), (ModelError(401, ""), False), (ModelError(404, ""), False),
        (httpx.ConnectError(""), True), (httpx.ReadError(""), True), (httpx.RemoteProtocolError(""), True),
        (TimeoutError(), True), (ValueError(), True), (KeyError(), False),
    ],
)  # fmt: skip
def test_what_is_worth_another_try(error: Exception, again: bool):
    assert transient(error) == again


@pytest.mark.parametrize(
    ("header", "seconds"), [("2", 2.0), ("0.25", 0.25), ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0), ("-1", 0.0), (".", 0.0)]
)
async def test_retry_after_in_seconds_is_read(header: str, seconds: float):
    error = await _refusal(httpx.Response(429, headers={"retry-after": header}, text="slow down"))
    assert (error.status, error.retry_after) == (429, seconds)
    assert "slow down" in str(error)
