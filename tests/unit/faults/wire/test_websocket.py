"""WebSocket frames as messages, and frames made up."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol, Side

from netra_sim.faults.wire.base import Message
from netra_sim.faults.wire.websocket import close_frame, frame, payload_of, with_payload
from tests.unit.faults.http_streams import CONVERSATIONS, DOWN, MASK, SWITCHED, UP, UPGRADE, one, told

OPEN = [(UP, UPGRADE), (DOWN, SWITCHED)]


def frames(*raw: bytes, stream=UP) -> Sequence[Message]:
    return one(*OPEN, *((stream, data) for data in raw), stream=stream)[1:]


def test_a_text_frame() -> None:
    raw = frame(1, "h\u00e4llo".encode(), mask=MASK)
    (message,) = frames(raw)
    assert (message.raw, message.type, message.text, message.exchange) == (raw, "text", "h\u00e4llo", 0)
    assert message.facts == {
        "fin": True,
        "opcode": 1,
        "length": 6,
        "compressed": False,
        "message": 1,
        "path": "/ws",
    }


def test_a_fragmented_message_keeps_its_number_past_a_control_frame() -> None:
    messages = one(*CONVERSATIONS["frames"])[1:]
    assert [(m.type, m.text, m.facts["message"], m.facts["fin"]) for m in messages] == [
        ("text", "welcome", 1, True),
        ("text", "frag", 2, False),
        ("ping", "", 0, True),
        ("continuation", "men", 2, False),
        ("continuation", "ted", 2, True),
        ("binary", "", 3, True),
        ("close", "", 0, True),
    ]
    assert (messages[-1].facts["code"], messages[-1].facts["reason"]) == (1013, "later")


def test_a_compressed_frame_has_no_text() -> None:
    plain = frame(1, b"zip", mask=MASK)
    (message,) = frames(bytes((plain[0] | 0x40,)) + plain[1:])
    assert (message.text, message.facts["compressed"]) == ("", True)


def test_a_close_without_code_is_1005() -> None:
    (message,) = frames(frame(8, b""), stream=DOWN)
    assert (message.facts["code"], message.facts["reason"]) == (1005, "")


def test_a_long_text_is_cut() -> None:
    (message,) = frames(frame(1, "\U0001f600".encode() * 5000, mask=MASK))
    assert message.text == "\U0001f600" * 4096


def test_a_frame_too_long_is_told_in_parts() -> None:
    raw = frame(2, b"x" * 2_000_000, mask=MASK)
    messages = frames(raw[:5], raw[5:1_000_000], raw[1_000_000:] + frame(1, b"next", mask=MASK))
    assert [(m.type, m.whole, m.facts["length"]) for m in messages] == [
        ("binary", False, 2_000_000),
        ("binary", False, 2_000_000),
        ("text", True, 4),
    ]


@pytest.mark.parametrize("raw", [b"\x83", b"\xa1", b"\x09", b"\x89\x7e", b"\x89\xfe\x00\x7e", b"\xc9"])
def test_what_is_no_frame_is_opaque(raw: bytes) -> None:
    conversation, messages = told([*OPEN, (UP, raw + b"\x00" * 20)])
    assert conversation.opaque
    assert messages[UP][-1].type == "opaque"


def test_frames_before_the_switch_are_opaque() -> None:
    conversation, _ = told([(UP, UPGRADE + frame(1, b"early", mask=MASK)), (DOWN, SWITCHED)])
    assert conversation.opaque == "not HTTP/1"


def read_by_peer(raw: bytes, side: Side = SERVER) -> list[Frame]:
    judge = Protocol(side, max_size=None)
    judge.receive_data(raw)
    return [event for event in judge.events_received() if isinstance(event, Frame)]


SIZES = st.sampled_from([0, 1, 125, 126, 65_535, 65_536])


@given(st.binary(min_size=4, max_size=4), SIZES, st.sampled_from(["text", "binary", "ping", "pong"]))
def test_frames_are_as_websockets_reads_them(mask: bytes, size: int, type: str) -> None:
    opcode = Opcode[type.upper()]
    raw = frame(opcode, b"a" * (size if opcode < 8 else min(size, 125)), mask=mask)
    (read,), (message,) = read_by_peer(raw), frames(raw)
    assert (message.type, message.facts["opcode"], message.facts["fin"]) == (type, read.opcode, read.fin)
    assert payload_of(message.raw) == bytes(read.data)
    assert message.text == (bytes(read.data).decode()[:4096] if type == "text" else "")


@given(st.binary(max_size=200), st.sampled_from([b"", MASK]))
def test_another_payload_keeps_all_else(payload: bytes, mask: bytes) -> None:
    raw = frame(1, b"before", mask=mask, fin=False)
    changed = with_payload(raw, payload)
    assert changed == frame(1, payload, mask=mask, fin=False)
    assert payload_of(changed) == payload


def test_a_close_frame_is_understood_and_its_reason_fits() -> None:
    judge = Protocol(SERVER)
    judge.receive_data(close_frame(4001, "\u00e4" * 100, mask=MASK))
    assert judge.close_rcvd is not None
    assert (judge.close_rcvd.code, judge.close_rcvd.reason) == (4001, "\u00e4" * 61)
