"""Bodies of HTTP/1.x messages: of a known length, in chunks, or until the connection closes (RFC 9112, 6 and 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from netra_sim.faults.wire.base import MOST, Message
from netra_sim.faults.wire.http_head import HEAD_END, MOST_HEAD
from netra_sim.faults.wire.reading import Half, NotUnderstood, Part

MOST_LINE = 1 << 12  # bytes of the line with a chunk's size
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_LINE_BEGINS = re.compile(rb"[0-9A-Fa-f]{1,15}[ \t]*(?:;[^\n]*|\r)?")


class Body:
    """A body's place: in which direction it comes, and to which head it belongs."""

    def __init__(self, half: Half, head: Message, facts: Mapping[str, Any]) -> None:
        self._half, self._facts = half, facts
        self._text, self._exchange = head.text, head.exchange

    def _message(self, raw: bytes, type: str = "body", *, last: bool = False, whole: bool = True) -> Message:
        return Message(raw, type, self._text, self._exchange, last, whole, self._facts)


class Sized(Body):
    """A body of so many bytes, or without end: a piece is what came, the one with the last byte is the last."""

    def __init__(self, half: Half, head: Message, facts: Mapping[str, Any], size: int) -> None:
        super().__init__(half, head, facts)
        self._left = size  # below 0: until the connection closes

    def read(self, data: bytes, at: int, out: list[Message]) -> int:
        """A piece."""
        end = len(data)
        if 0 <= self._left <= end - at:
            end = at + self._left
            self._half.over()
        elif self._left > 0:
            self._left -= end - at
        out.append(self._message(data[at:end], last=self._half.reader is not self))
        return end


class Chunks(Body):
    """A body in chunks: a message is a chunk with the line of its size; the last one, with its trailers, is the end."""

    def read(self, data: bytes, at: int, out: list[Message]) -> int:
        """A chunk."""
        start, end = chunk_at(data, at)
        if end == start:
            return self._half.wait(data, at) if not start else self._end(data, at, start, out)
        if end - at > MOST:
            self._half.reader = Part(self._half, end - at, self._message(b""), self)
            return at
        if end > len(data):
            return self._half.wait(data, at, end - at)
        ends_in_line(data, end)
        out.append(self._message(data[at:end]))
        return end

    def _end(self, data: bytes, at: int, start: int, out: list[Message]) -> int:
        found = HEAD_END.search(data, start - 1)
        if (found.end() if found else len(data)) - at > MOST_HEAD:
            raise NotUnderstood("trailers over 64 KiB")
        if not found:
            return self._half.wait(data, at)
        out.append(self._message(data[at : found.end()], "end", last=True))
        self._half.over()
        return found.end()


def chunk_at(data: bytes, at: int) -> tuple[int, int]:
    """Start of a chunk's bytes and its end: the same for the last chunk, (0, 0) while its size is not there."""
    line = CHUNK_LINE.match(data, at)
    if (line.end() if line else len(data)) - at > MOST_LINE:
        raise NotUnderstood("the size of a chunk in more than 4 KiB")
    if line is None:
        if at < len(data) and not _LINE_BEGINS.fullmatch(data, at):
            raise NotUnderstood("not the size of a chunk")
        return 0, 0
    size = int(line[1], 16)
    return line.end(), line.end() + (size + 2 if size else 0)


def ends_in_line(data: bytes, end: int) -> None:
    """NotUnderstood where a chunk is not as long as its size says."""
    if data[end - 2 : end] != b"\r\n":
        raise NotUnderstood("a chunk of another size")


def chunk(payload: bytes) -> bytes:
    """A chunk of these bytes, of which there must be some."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def chunk_payloads(raw: bytes) -> list[slice]:
    """Where in the raw bytes of whole chunks, such as those of an event, the body's bytes stand."""
    places, at = [], 0
    while at < len(raw):
        start, end = chunk_at(raw, at)
        if end == start:
            break
        places.append(slice(start, end - 2))
        at = end
    return places
