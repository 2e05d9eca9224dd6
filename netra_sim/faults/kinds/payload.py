"""Where in a message its payload stands: bytes that may change while every length stays right."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from netra_sim.faults.wire.base import Message
from netra_sim.faults.wire.websocket import TYPES, extent

Span = tuple[int, int]
TEXTS = frozenset(["Query", "CommandComplete", "CopyData"])
HEADS = frozenset(["request", "response", "end"])


def spans(message: Message, protocol: str) -> list[Span]:
    """From and to of every piece of payload; none where the message has nothing but its frame."""
    find = {"postgres": _postgres, "redis": bulks, "http": _http}.get(protocol)
    return [(start, end) for start, end in find(message) if end > start] if find and message.whole else []


def _postgres(message: Message) -> Iterator[Span]:
    raw = message.raw
    if message.type in TEXTS:
        yield 5, len(raw) - (message.type != "CopyData")
    elif message.type == "DataRow":
        at = 7
        for _ in range(struct.unpack_from(">H", raw, 5)[0]):
            (length,) = struct.unpack_from(">i", raw, at)
            at += 4
            yield at, at + max(0, length)
            at += max(0, length)


def bulks(message: Message) -> Iterator[Span]:
    """The bulk strings of a command or a reply; of a command, not its name."""
    raw, at, named = message.raw, 0, message.type != "command"
    while (line := raw.find(b"\r\n", at)) >= 0:
        begun, at = at, line + 2
        if raw[begun : begun + 1] in (b"$", b"="):
            length = int(raw[begun + 1 : line] or 0)
            if named and length > 0:
                yield at, at + length
            at += length + 2 if length >= 0 else 0
            named = True


def _http(message: Message) -> Iterator[Span]:
    if message.type in TYPES.values():
        yield extent(message.raw)
    elif message.type in HEADS:
        return
    elif not message.facts.get("chunked"):
        yield 0, len(message.raw)
    else:
        yield from _chunks(message.raw)


def _chunks(raw: bytes) -> Iterator[Span]:
    at = 0
    while (line := raw.find(b"\n", at)) >= 0:
        length = int(raw[at:line].partition(b";")[0].strip() or b"0", 16)
        yield line + 1, line + 1 + length
        at = raw.find(b"\n", line + 1 + length) + 1
        if not length or not at:
            return
