"""HTTP/1.x heads and bodies as messages."""

import contextlib

import h11
import httptools
import pytest

from netra_sim.faults.wire.http import Http
from netra_sim.faults.wire.http_answer import http_answer
from netra_sim.faults.wire.http_body import chunk, chunk_payloads
from tests.unit.faults.http_streams import CHUNKED, CONVERSATIONS, DOWN, EMPTY, GET, JSON, POST, UP, one, told


def test_a_request_and_its_answer() -> None:
    conversation = Http()
    head, body = conversation.feed(UP, POST)
    assert (head.type, head.text, head.exchange, head.last) == ("request", "POST /v1/chat/completions?x=1", 1, False)
    assert head.facts["method"] == "POST"
    assert head.facts["path"] == "/v1/chat/completions"
    assert head.facts["target"] == "/v1/chat/completions?x=1"
    assert head.facts["version"] == "1.1"
    assert head.facts["headers"] == {"host": "lab", "content-length": "11"}
    assert (body.type, body.raw, body.text, body.last) == ("body", b"{'a': 'b'}\n", head.text, True)
    answer, told = conversation.feed(DOWN, JSON)
    assert (answer.type, answer.text, answer.exchange, answer.last) == ("response", head.text, 1, False)
    assert (answer.facts["status"], answer.facts["reason"]) == (200, "OK")
    assert answer.facts["path"] == "/v1/chat/completions"
    assert (told.type, told.exchange, told.last, told.facts["status"]) == ("body", 1, True, 200)


@pytest.mark.parametrize("name", ["keep-alive", "pipelined", "continue", "chunked", "events", "h2c refused"])
def test_every_request_and_every_answer_has_one_last_message(name: str) -> None:
    conversation, messages = told(CONVERSATIONS[name])
    heads = [m.exchange for m in messages[UP] if m.type == "request"]
    assert conversation.opaque == ""
    assert [m.exchange for m in messages[UP] if m.last] == heads
    assert [m.exchange for m in messages[DOWN] if m.last] == heads


def test_answers_follow_pipelined_requests() -> None:
    messages = one(*CONVERSATIONS["pipelined"])
    assert [(m.type, m.exchange, m.facts["method"]) for m in messages] == [
        ("response", 1, "POST"),
        ("body", 1, "POST"),
        ("response", 2, "GET"),
        ("response", 3, "HEAD"),  # its length has no body
        ("response", 4, "GET"),
        ("body", 4, "GET"),
    ]


def test_interim_answers_are_not_last() -> None:
    assert [(m.facts["status"], m.exchange, m.last) for m in one(*CONVERSATIONS["continue"])] == [
        (100, 1, False),
        (103, 1, False),
        (304, 1, True),
    ]


def test_a_chunk_is_a_message_and_the_last_one_the_end() -> None:
    messages = one((UP, GET), (DOWN, CHUNKED + b"5;a=b\r\nhello\r\n" + chunk(b"!") + b"0\r\nSum: 1\r\n\r\n"))
    assert [(m.type, m.raw, m.last) for m in messages[1:]] == [
        ("body", b"5;a=b\r\nhello\r\n", False),
        ("body", b"1\r\n!\r\n", False),
        ("end", b"0\r\nSum: 1\r\n\r\n", True),
    ]


def test_a_long_chunk_is_told_in_parts() -> None:
    long = chunk(b"x" * 3_000_000)
    messages = one(
        (UP, GET), (DOWN, CHUNKED + long[:10]), (DOWN, long[10:2_000_000]), (DOWN, long[2_000_000:] + b"0\r")
    )
    assert [(m.type, len(m.raw), m.whole) for m in messages[1:]] == [
        ("body", 10, False),
        ("body", 1_999_990, False),
        ("body", len(long) - 2_000_000, False),
    ]


def test_a_body_until_close_has_no_last_message() -> None:
    messages = one((UP, GET), (DOWN, b"HTTP/1.1 200 OK\r\n\r\nab"), (DOWN, b"HTTP/1.1 200 OK\r\n\r\n"))
    assert [(m.type, m.last) for m in messages] == [("response", False), ("body", False), ("body", False)]


def test_headers_said_twice_and_folded_are_one() -> None:
    (request,) = one((UP, CONVERSATIONS["folded and bare"][0][1]), stream=UP)
    assert request.facts["headers"] == {"a": "b c d, e"}
    assert request.facts["path"] == "/\xe4"


def test_an_absolute_target_has_a_path() -> None:
    (request,) = one((UP, b"GET http://lab:80/a/b?c=/d HTTP/1.1\r\n\r\n"), stream=UP)
    assert request.facts["path"] == "/a/b"


def test_an_answer_that_nobody_asked_for() -> None:
    (answer,) = one((DOWN, b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"))
    assert (answer.exchange, answer.text, answer.last) == (0, "", True)


@pytest.mark.parametrize(
    ("stream", "data", "why"),
    [
        (UP, b"\x16", "TLS"),
        (UP, b"PRI * HTTP/2", "HTTP/2"),
        (UP, b"\x00", "not HTTP/1"),
        (UP, b"GET / HTTP/1.1\r\nno header\r\n\r\n", "not a header"),
        (UP, b"EHLO lab\r\n", "not HTTP/1"),
        (UP, b"GET / HTTP/1.1\r\nA: " + b"x" * (1 << 16), "a head over 64 KiB"),
        (UP, b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "a request whose end nobody can know"),
        (UP, b"GET / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n", "not a content length"),
        (DOWN, b"220 smtp", "not HTTP/1"),
        (DOWN, CHUNKED + b"xyz", "not the size of a chunk"),
        (DOWN, CHUNKED + b"1\r\nabc", "a chunk of another size"),
        (DOWN, CHUNKED + b"1;" + b"x" * 5000, "the size of a chunk in more than 4 KiB"),
        (DOWN, CHUNKED + b"0\r\nA: " + b"x" * (1 << 16), "trailers over 64 KiB"),
    ],
)
def test_what_is_not_understood_is_opaque_at_once(stream, data, why) -> None:
    conversation, messages = told([(stream, data), (UP, b"a"), (DOWN, b"b")])
    assert conversation.opaque == why
    assert messages[UP][-1].type == messages[DOWN][-1].type == "opaque"
    assert conversation.rest(UP) == conversation.rest(DOWN) == b""


@pytest.mark.parametrize(("name", "why"), [("tunnel", "CONNECT"), ("h2c", "upgrade to h2c")])
def test_another_protocol_is_opaque_from_its_first_byte(name, why) -> None:
    conversation, messages = told(CONVERSATIONS[name])
    assert conversation.opaque == why
    assert messages[DOWN][0].last is True
    assert [m.type for m in messages[UP]] == ["request", "opaque"]


def test_what_was_kept_goes_when_the_connection_turns_opaque() -> None:
    conversation = Http()
    assert conversation.feed(UP, b"GET /") == []
    conversation.feed(DOWN, b"\0")
    assert [m.raw for m in conversation.feed(UP, b"")] == [b"GET /"]
    assert conversation.rest(UP) == b""


@pytest.mark.parametrize("name", ["keep-alive", "pipelined", "continue", "events", "h2c refused"])
def test_requests_are_as_h11_and_llhttp_read_them(name: str) -> None:
    sent = b"".join(data for stream, data in CONVERSATIONS[name] if stream == UP)
    _, messages = told(CONVERSATIONS[name])
    heads = [m for m in messages[UP] if m.type == "request"]
    targets: list[bytes] = []

    class Callbacks:
        def on_url(self, url: bytes) -> None:
            targets.append(url)

    parser = httptools.HttpRequestParser(Callbacks())
    with contextlib.suppress(httptools.HttpParserUpgrade):  # it stops at a request for an upgrade
        parser.feed_data(sent)
    assert targets
    assert [m.facts["target"].encode() for m in heads][: len(targets)] == targets
    judge = h11.Connection(h11.SERVER)
    judge.receive_data(heads[0].raw)
    request = judge.next_event()
    assert isinstance(request, h11.Request)
    assert dict(request.headers) == {k.encode(): v.encode() for k, v in heads[0].facts["headers"].items()}


def test_bodies_are_as_h11_reads_them() -> None:
    answer = CHUNKED + b"5;a=b\r\nhello\r\n" + chunk(b"\r\n0\r\n\r\n") + b"0\r\nSum: 1\r\n\r\n"
    messages = one((UP, GET), (DOWN, answer))
    judge = h11.Connection(h11.CLIENT)
    judge.send(h11.Request(method="GET", target="/", headers=[("host", "lab")]))
    judge.send(h11.EndOfMessage())
    judge.receive_data(answer)
    assert isinstance(judge.next_event(), h11.Response)
    read = b""
    while isinstance(event := judge.next_event(), h11.Data):
        read += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert read == b"".join(m.raw[place] for m in messages[1:-1] for place in chunk_payloads(m.raw))


def test_an_answer_made_up_is_understood_by_a_client() -> None:
    raw = http_answer(503, {"X-Why": "test"}, b"busy", retry_after=1.2)
    judge = h11.Connection(h11.CLIENT)
    judge.send(h11.Request(method="GET", target="/", headers=[("host", "lab")]))
    judge.receive_data(raw)
    answer = judge.next_event()
    assert isinstance(answer, h11.Response)
    assert answer.status_code == 503
    assert dict(answer.headers) == {
        b"content-length": b"4",
        b"connection": b"close",
        b"retry-after": b"2",
        b"x-why": b"test",
    }
    body = judge.next_event()
    assert isinstance(body, h11.Data)
    assert body.data == b"busy"
    assert [m.last for m in one((UP, GET), (DOWN, raw))] == [False, True]


def test_an_answer_made_up_stays_one_answer() -> None:
    with pytest.raises(ValueError, match="line end"):
        http_answer(500, {"a": "b\r\nc: d"})
    with pytest.raises(ValueError, match="101"):
        http_answer(101)
    assert http_answer(204) == b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
    assert EMPTY.startswith(http_answer(204)[:23])
