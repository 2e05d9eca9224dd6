import base64
from typing import Any

import pytest

from netra_sim.backend.chat.gateway import credentials, welcome
from netra_sim.backend.config import Settings
from netra_sim.backend.identity.messages import Principal

TOKEN = "head.body.signature"
CODED = "jwt." + base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")


def scope(header: str | None = None, *offered: str) -> dict[str, Any]:
    return {
        "headers": [] if header is None else [(b"authorization", header.encode("latin-1"))],
        "subprotocols": offered,
    }


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (scope(f"Bearer {TOKEN}"), (TOKEN, None)),
        (scope(f"bearer  {TOKEN} "), (TOKEN, None)),
        (scope(None, "jwt-auth", CODED), (TOKEN, "jwt-auth")),
        (scope(f"Bearer {TOKEN}", "jwt-auth", "jwt.b3RoZXI"), (TOKEN, "jwt-auth")),
        (scope("Basic abc", "jwt-auth", CODED), (TOKEN, "jwt-auth")),
        (scope(None, CODED), (TOKEN, None)),
        (scope(None, "jwt-auth"), (None, "jwt-auth")),
        (scope(None, "chat"), (None, None)),
        (scope(), (None, None)),
    ],
)
def test_the_token_and_the_subprotocol_to_select(asked: dict[str, Any], answer: tuple[str | None, str | None]):
    assert credentials(asked) == answer


@pytest.mark.parametrize("coded", ["jwt.a", "jwt.é", "jwt.gIGC", "jwt.!!!!!"])
def test_a_token_that_is_not_base64_of_ascii_is_refused_like_any_other(coded: str):
    token, _ = credentials(scope(None, "jwt-auth", coded))
    assert token is not None
    assert "." not in token


def test_the_welcome_states_the_limits_of_the_tier():
    settings = Settings(postgres_url="p", redis_url="r", llm_url="l", time_scale=0.1, worker="w1")
    data = welcome(settings, Principal("u", "s", "e", "early", 0), "c", 12)
    assert (data["event"], data["connection_id"], data["user_id"]) == ("connection_established", "c", "u")
    assert (data["last_seq"], data["worker"]) == (12, "w1")
    assert data["config"] == {
        "heartbeat_s": 2.5,
        "max_message_bytes": 65536,
        "rate_limit_per_minute": 100,
        "idle_timeout_s": 30.0,
    }
