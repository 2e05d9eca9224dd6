import json
import uuid
from typing import Any

import pytest

from netra_sim.backend.chat import frames
from netra_sim.backend.chat.messages import Event, Order
from netra_sim.backend.errors import CATALOGUE, PlatformError

ID, THREAD = str(uuid.uuid4()), str(uuid.uuid4())
CHAT: dict[str, Any] = {"type": "chat_message", "message_id": ID, "thread_id": THREAD, "payload": {"text": "What?"}}
RESUME: dict[str, Any] = {"type": "resume", "payload": {"last_seq": 3}}


def parse(value: object) -> frames.ClientFrame:
    return frames.parse(json.dumps(value))


def test_each_type_is_understood():
    chat, resume = parse(CHAT), parse({**RESUME, "more": "is ignored"})
    assert isinstance(chat, frames.ChatMessage)
    assert (str(chat.message_id), str(chat.thread_id), chat.payload.text) == (ID, THREAD, "What?")
    assert isinstance(resume, frames.Resume)
    assert resume.payload.last_seq == 3
    assert isinstance(parse({"type": "ack", "payload": {"seq": 0}}), frames.Ack)
    assert isinstance(parse({"type": "ping"}), frames.Ping)


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("", "bad_frame", "frame"),
        ("{", "bad_frame", "frame"),
        (b"\xff\xfe", "bad_frame", "frame"),
        ("[1]", "bad_frame", "frame"),
        ("null", "bad_frame", "frame"),
        ("[" * 5000, "bad_frame", "frame"),
        ('{"type": "chat_message", "payload": {"text": "\\ud800..."}}', "bad_frame", "frame"),
        ("{}", "unknown_type", "type"),
        ('{"type": "hello"}', "unknown_type", "type"),
        ('{"type": ["resume"]}', "unknown_type", "type"),
    ],
)
def test_what_is_no_frame(text: str | bytes, code: str, field: str):
    with pytest.raises(PlatformError) as told:
        frames.parse(text)
    assert (told.value.code, told.value.facts["field"]) == (code, field)
    if code == "unknown_type":
        assert told.value.facts["known"] == list(frames.KNOWN)


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ({**CHAT, "message_id": "x"}, "message_id"),
        ({**CHAT, "message_id": None}, "message_id"),
        ({k: v for k, v in CHAT.items() if k != "thread_id"}, "thread_id"),
        ({k: v for k, v in CHAT.items() if k != "payload"}, "payload"),
        ({**CHAT, "payload": {}}, "payload.text"),
        ({**CHAT, "payload": {"text": "ab"}}, "payload.text"),
        ({**CHAT, "payload": {"text": "a" * 10_001}}, "payload.text"),
        ({**CHAT, "payload": {"text": "a\x00bc"}}, "payload.text"),
        ({**CHAT, "payload": {"text": 5}}, "payload.text"),
        ({**CHAT, "timestamp": {}}, "timestamp"),
        ({"type": "resume", "payload": {"last_seq": -1}}, "payload.last_seq"),
        ({"type": "resume", "payload": {"last_seq": 2**63}}, "payload.last_seq"),
        ({"type": "resume", "payload": {"last_seq": "soon"}}, "payload.last_seq"),
        ({"type": "resume"}, "payload"),
        ({"type": "ack", "payload": {"seq": None}}, "payload.seq"),
    ],
)
def test_a_malformed_frame_names_its_field(frame: dict[str, Any], field: str):
    with pytest.raises(PlatformError) as told:
        parse(frame)
    assert told.value.code == "bad_frame"
    assert told.value.facts["field"].startswith(field)
    assert told.value.facts["message_id"] == (frame.get("message_id") if "message_id" in frame else None)


@pytest.mark.parametrize("text", ["abc", "a" * 10_000, "two\nlines", "😀😀😀"])
def test_texts_at_the_limits_are_taken(text: str):
    frame = parse({**CHAT, "payload": {"text": text}})
    assert isinstance(frame, frames.ChatMessage)
    assert frame.payload.text == text


def test_a_live_frame_and_its_replay_are_the_same_but_for_the_time():
    order = Order(str(uuid.uuid4()), "user", THREAD, ID, "What?")
    live = json.loads(frames.durable(order, Event("agent_started", {"agent_name": "data"}), 7, 2))
    row = {
        "type": "agent_started", "seq": 7, "run_id": uuid.UUID(order.run_id), "run_seq": 2,
        "thread_id": uuid.UUID(THREAD), "data": '{"agent_name": "data"}',
    }  # fmt: skip
    again = json.loads(frames.replayed(row))
    assert live.pop("timestamp") <= again.pop("timestamp")
    assert live == again
    assert live["correlation_id"] == order.run_id


def test_ephemeral_frames_have_no_seq():
    pong = json.loads(frames.ephemeral("pong", {}))
    assert (pong["type"], pong["seq"], pong["run_id"]) == ("pong", None, None)


def test_an_error_frame_has_code_sentence_and_remedy():
    told = PlatformError("rate_limited", retry_after_s=3)
    frame = json.loads(frames.error(told, ID))
    entry = CATALOGUE["rate_limited"]
    assert (frame["type"], frame["code"], frame["message"]) == ("error", "rate_limited", entry.sentence)
    assert (frame["recovery"], frame["correlation_id"], frame["data"]) == (entry.remedy, ID, {"retry_after_s": 3})
    more = json.loads(frames.error(PlatformError("bad_frame", field="x", detail="x: is wrong")))
    assert (more["message"], more["data"]) == ("x: is wrong", {"field": "x"})
