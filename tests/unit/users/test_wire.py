"""The client's side of the socket protocol."""

import base64
import json

import httpx
import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_sim.users import wire
from netra_sim.users.api import told_by

SERVER_FRAME = {
    "type": "agent_completed",
    "seq": 9,
    "run_id": "r",
    "run_seq": 4,
    "thread_id": "t",
    "data": {"agent_name": "supervisor", "status": "completed"},
    "timestamp": 1.0,
    "correlation_id": "c",
}


def test_a_server_frame_is_read():
    frame = wire.parse(json.dumps(SERVER_FRAME))
    assert (frame.type, frame.seq, frame.run_id, frame.run_seq, frame.thread_id) == ("agent_completed", 9, "r", 4, "t")
    assert frame.ends_run
    assert not wire.parse(json.dumps({**SERVER_FRAME, "data": {"agent_name": "triage"}})).ends_run


@settings(max_examples=30, deadline=None)
@given(st.one_of(st.binary(max_size=50), st.text(max_size=50), st.just("[1]"), st.just('{"data": 3}')))
def test_no_message_of_a_server_breaks_the_reader(raw: str | bytes):
    wire.parse(raw)
    wire.foreign(raw, "canary-00000000")


def test_canaries_of_others_are_found_once_each():
    raw = "canary-0000000a canary-0000000b canary-0000000b canary-xyz"
    assert wire.foreign(raw, "canary-0000000a") == ["canary-0000000b"]
    assert wire.foreign(raw.encode(), "canary-0000000b") == ["canary-0000000a"]


def test_client_frames_have_the_shape_of_the_protocol():
    assert json.loads(wire.resume(5, None)) == {"type": "resume", "payload": {"last_seq": 5}}
    assert json.loads(wire.resume(5, "x"))["payload"] == {"last_seq": 5, "resume_token": "x"}
    assert json.loads(wire.ack(7)) == {"type": "ack", "payload": {"seq": 7}}
    message = json.loads(wire.chat_message("m", "t", "text", 2.5))
    assert message == {
        "type": "chat_message",
        "payload": {"text": "text"},
        "message_id": "m",
        "thread_id": "t",
        "timestamp": 2.5,
    }


def test_a_token_travels_in_a_header_or_a_subprotocol():
    assert wire.header("a.b.c") == {"Authorization": "Bearer a.b.c"}
    assert wire.header(None) == {}
    first, coded = wire.subprotocols("a.b.c")
    assert first == "jwt-auth"
    assert base64.urlsafe_b64decode(coded.removeprefix("jwt.") + "==") == b"a.b.c"
    assert wire.subprotocols(None) == ["jwt-auth"]


@pytest.mark.parametrize("number", range(20))
def test_a_tampered_token_fails_its_signature(number: int):
    token = jwt.encode({"sub": str(number)}, "k" * 32, "HS256")
    assert jwt.decode(token, "k" * 32, ["HS256"])
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(wire.tampered(token), "k" * 32, ["HS256"])


def test_reconnects_double_up_to_their_cap():
    assert [wire.backoff(n, 1.0) for n in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert wire.backoff(3, 0.25) == 2


@pytest.mark.parametrize(
    ("response", "outcome", "code", "retry_after_s"),
    [
        (httpx.Response(200, json={"a": 1}), "ok", "", 0),
        (httpx.Response(204), "ok", "", 0),
        (httpx.Response(200, content=b"<html>"), "unknown", "bad_answer", 0),
        (httpx.Response(401, json={"code": "wrong_credentials"}), "fail", "wrong_credentials", 0),
        (httpx.Response(404, content=b"nothing"), "fail", "http_404", 0),
        (
            httpx.Response(503, json={"code": "store_unavailable"}, headers={"retry-after": "0.5"}),
            "fail",
            "store_unavailable",
            0.5,
        ),
        (httpx.Response(500, json={"code": "internal"}), "unknown", "internal", 0),
        (httpx.Response(502, headers={"retry-after": "soon"}), "unknown", "http_502", 0),
    ],
)
def test_what_a_response_says(response: httpx.Response, outcome: str, code: str, retry_after_s: float):
    told = told_by(response)
    assert (told.outcome, told.code, told.retry_after_s) == (outcome, code, retry_after_s)
