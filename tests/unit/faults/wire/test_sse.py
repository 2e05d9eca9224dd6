"""Server-sent events as messages."""

import pytest

from netra_sim.faults.wire.http_body import chunk, chunk_payloads
from netra_sim.faults.wire.sse import event
from tests.unit.faults.http_streams import CONVERSATIONS, DOWN, GET, SSE, SSE_BARE, UP, one


def test_an_event_in_a_chunk_is_a_message() -> None:
    data = chunk(b"event: token\nid: 7\ndata: hi\n\n")
    (_, message) = one((UP, GET), (DOWN, SSE + data))
    assert (message.type, message.raw, message.text, message.exchange) == ("event", data, "GET /v1/models?page=2", 1)
    assert message.facts["event"] == "token"
    assert message.facts["data"] == "hi"
    assert message.facts["id"] == "7"
    assert message.facts["path"] == "/v1/models"


def test_an_event_reaches_to_the_end_of_the_chunk_that_completes_it() -> None:
    first, second, third = chunk(b"data: o"), chunk(b"ne\n\ndata: two\n\ndata: thr"), chunk(b"ee\n\n")
    _, a, b = one((UP, GET), (DOWN, SSE + first + second + third))
    assert a.raw == first + second
    assert [e["data"] for e in a.facts["events"]] == ["one", "two"]
    assert a.facts["data"] == "one"
    assert (b.raw, b.facts["data"]) == (third, "three")
    assert b"".join(a.raw[place] for place in chunk_payloads(a.raw)) == b"data: one\n\ndata: two\n\ndata: thr"


def test_the_whole_conversation() -> None:
    messages = one(*CONVERSATIONS["events"])
    assert [(m.type, [e["data"] for e in m.facts["events"]] if m.type == "event" else m.last) for m in messages] == [
        ("response", False),
        ("event", ["one"]),
        ("event", ["two\nlines", "three"]),
        ("comment", False),
        ("event", ["a", "b"]),
        ("event", ["c"]),
        ("body", False),  # "[DONE]" has no blank line: it is no event
        ("end", True),
        ("response", False),
        ("body", True),
    ]


def test_without_chunks_each_event_is_a_message() -> None:
    messages = one(*CONVERSATIONS["events without chunks"])
    assert [(m.type, m.facts.get("data")) for m in messages[1:]] == [
        ("event", "one"),
        ("event", "two"),
        ("comment", None),
        ("event", "three"),
        ("event", "\xe4"),
        ("comment", None),
    ]
    assert not any(m.last for m in messages)


def test_the_event_with_the_last_byte_of_a_length_is_last() -> None:
    messages = one(*CONVERSATIONS["events of a length"][:2])
    assert [(m.type, m.last) for m in messages] == [("response", False), ("event", False), ("event", True)]


def test_a_compressed_stream_has_no_events() -> None:
    head = SSE[:-2] + b"Content-Encoding: gzip\r\n\r\n"
    assert [m.type for m in one((UP, GET), (DOWN, head + chunk(b"data: x\n\n")))] == ["response", "body"]


def test_an_event_too_long_is_told_as_a_body_in_parts() -> None:
    messages = one((UP, GET), (DOWN, SSE_BARE + b"data: " + b"x" * 1_200_000), (DOWN, b"\n\ndata: y\n\n"))
    assert [(m.type, m.whole) for m in messages[1:]] == [("body", False), ("comment", True), ("event", True)]
    chunks = chunk(b"x" * 600_000) * 2
    messages = one((UP, GET), (DOWN, SSE + chunks), (DOWN, chunk(b"\n\ndata: y\n\n")))
    assert [(m.type, m.whole, m.facts.get("data")) for m in messages[1:]] == [
        ("body", False, None),
        ("event", True, "y"),
    ]


@pytest.mark.parametrize(
    ("block", "found"),
    [
        (b"data: a\ndata:b\ndata", {"event": "message", "id": "", "data": "a\nb\n"}),
        (b"\xef\xbb\xbfevent: e\r\nid:1\r\ndata:  two", {"event": "e", "id": "1", "data": " two"}),
        (b": ping", None),
        (b"retry: 5\rid: 4", None),
    ],
)
def test_fields(block, found) -> None:
    assert event(block) == found
