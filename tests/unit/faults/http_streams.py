"""Recorded HTTP conversations, and how what a parser tells of them is compared."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from netra_sim.faults.wire.base import Message, Stream
from netra_sim.faults.wire.http import Http
from netra_sim.faults.wire.http_body import chunk
from netra_sim.faults.wire.websocket import close_frame, frame

Exchange = tuple[Stream, bytes]
UP: Stream = "upstream"
DOWN: Stream = "downstream"
MASK = b"\x01\x82\x43\xfe"

GET = b"GET /v1/models?page=2 HTTP/1.1\r\nHost: lab\r\nAccept: */*\r\n\r\n"
POST = b"POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: lab\r\nContent-Length: 11\r\n\r\n{'a': 'b'}\n"
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{'answer': 42}"[:-1]
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
SSE_BARE = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
UPGRADE = b"GET /ws?token=t HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"

CONVERSATIONS: dict[str, list[Exchange]] = {
    "keep-alive": [(UP, POST), (DOWN, JSON), (UP, b"\r\n" + GET), (DOWN, EMPTY), (UP, POST), (DOWN, JSON)],
    "pipelined": [(UP, POST + GET + b"HEAD / HTTP/1.1\r\n\r\n" + GET), (DOWN, JSON + EMPTY + JSON[:-13] + JSON)],
    "continue": [
        (UP, POST[:-11]),
        (DOWN, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (UP, POST[-11:]),
        (DOWN, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
    ],
    "chunked": [
        (UP, b"PUT /a HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + chunk(b"one") + chunk(b"x" * 200)),
        (UP, b"0\r\n\r\n"),
        (DOWN, CHUNKED + b"5;name=value\r\nhello\r\n" + chunk(b"\r\n0\r\n\r\n") + b"000\r\nSum: 1\r\nOther: 2\r\n\r\n"),
        (UP, GET),
        (DOWN, JSON),
    ],
    "events": [
        (UP, POST),
        (DOWN, SSE + chunk(b"data: one\n\n") + chunk(b"event: token\nid: 7\ndata: tw")),
        (DOWN, chunk(b"o\ndata: lines\n") + chunk(b"\ndata: three\n\n") + chunk(b": ping\r\n\r\n")),
        (DOWN, chunk(b"data: a\r\n\r\ndata: b\r\n\r\ndata: c\r") + chunk(b"\n\r") + chunk(b"\n")),
        (DOWN, chunk(b"data: [DONE]") + b"0\r\n\r\n"),
        (UP, GET),
        (DOWN, JSON),
    ],
    "events without chunks": [
        (UP, GET),
        (DOWN, SSE_BARE + b"data: one\n\ndata: two\r\n\r\n: ping\n\ndata: three\r\rdata: \xc3\xa4\n\n\n\ndata: cut"),
    ],
    "events of a length": [
        (UP, GET + GET),
        (DOWN, SSE_BARE[:-2] + b"Content-Length: 22\r\n\r\ndata: one\n\ndata: two\n\n"),
        (DOWN, SSE_BARE[:-2] + b"Content-Length: 14\r\n\r\ndata: one\n\ncut" + b"HTTP/1.1 408 Timeout\r\n\r\nnoticed"),
    ],
    "folded and bare": [
        (UP, b"GET /\xe4 HTTP/1.0\nA: b\n c\n\td\nA: e\n\n"),
        (DOWN, b"HTTP/1.0 200\r\n\r\nuntil close"),
    ],
    "frames": [
        (UP, UPGRADE),
        (DOWN, SWITCHED + frame(1, b"welcome")),
        (UP, frame(1, "h\u00e4llo".encode(), mask=MASK) + frame(2, b"\xff" * 300, mask=MASK)),
        (DOWN, frame(1, b"frag", fin=False) + frame(9, b"?") + frame(0, b"men", fin=False) + frame(0, b"ted")),
        (UP, frame(10, b"?", mask=MASK) + b"\xc1\x83" + MASK + b"zip" + frame(1, b"", mask=MASK)),
        (DOWN, frame(2, b"y" * 70_000) + close_frame(1013, "later")),
        (UP, close_frame(1013, mask=MASK)),
    ],
    "tunnel": [(UP, b"CONNECT db:5432 HTTP/1.1\r\n\r\n"), (DOWN, EMPTY + b"\x00\x01"), (UP, b"\x16\x03"), (DOWN, b"z")],
    "h2c": [(UP, GET), (DOWN, b"HTTP/1.1 101 Go\r\nUpgrade: h2c\r\n\r\n\0\0\0"), (UP, b"PRI * HTTP/2.0\r\n")],
    "h2c refused": [(UP, GET[:-2] + b"Upgrade: h2c\r\n\r\n"), (DOWN, JSON), (UP, GET), (DOWN, JSON)],
    "TLS": [(UP, b"\x16\x03\x01\x02\x00\x01\x00"), (DOWN, b"\x16\x03\x03\x00\x7a\x02")],
    "HTTP/2": [(UP, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4"), (DOWN, b"\0\0\0\4\0\0\0\0\0")],
}


def told(exchanges: Iterable[Exchange]) -> tuple[Http, dict[Stream, list[Message]]]:
    """The conversation and its messages by direction; bytes are conserved and little of them is kept."""
    conversation, messages = Http(), {UP: [], DOWN: []}
    fed: dict[Stream, bytes] = {UP: b"", DOWN: b""}
    for stream, data in exchanges:
        fed[stream] += data
        messages[stream] += conversation.feed(stream, data)
        assert len(conversation.rest(stream)) <= (1 << 20) + (1 << 16)
    for stream, all_of in fed.items():
        assert b"".join(m.raw for m in messages[stream]) + conversation.rest(stream) == all_of
    return conversation, messages


def one(*exchanges: Exchange, stream: Stream = DOWN) -> list[Message]:
    """The messages of one direction of a conversation that is understood."""
    conversation, messages = told(exchanges)
    assert not conversation.opaque
    return messages[stream]


def joined(messages: Sequence[Message]) -> list[tuple[Any, ...]]:
    """Messages with the pieces that depend on slices put together: bodies without chunks, parts, what is opaque."""
    rows: list[list[Any]] = []
    for before, message in pairwise([None, *messages]):
        if before is not None and pieces(before) and pieces(message) and like(before) == like(message):
            rows[-1][0] += message.raw
            rows[-1][-1] = message.last
        else:
            rows.append([message.raw, *like(message), message.last])
    return [tuple(row) for row in rows]


def pieces(message: Message) -> bool:
    return not message.whole or message.type == "opaque" or (message.type == "body" and not message.facts["chunked"])


def like(message: Message) -> tuple[Any, ...]:
    return message.type, message.text, message.exchange, message.whole, dict(message.facts)
