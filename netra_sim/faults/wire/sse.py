"""Server-sent events as messages (WHATWG HTML, 9.2): readers of a response whose type is text/event-stream.

In chunks, an event's `raw` is whole chunks, so that it can be dropped, doubled or held: it reaches to the end of the
chunk in which the event is complete. Several events that one chunk completes are one message: facts["events"] has
them all, facts event, data and id are the first one's. What a chunk has of the next event goes on with it.
Without chunks each event is a message of its own. A chunk or a block without data, such as a ping, is a "comment".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from netra_sim.faults.wire.base import MOST, Message
from netra_sim.faults.wire.http_body import Body, Chunks, chunk_at, ends_in_line
from netra_sim.faults.wire.reading import Half, Part

_LINE_END = rb"(?:\r\n|\n|\r(?=[^\n]))"  # whether a CR ends a line alone shows in what follows it
BLANK_LINE = re.compile(_LINE_END + _LINE_END)
_LINES = re.compile(r"\r\n|\n|\r")
_LONGEST = 4  # bytes of a blank line


def event(block: bytes) -> dict[str, str] | None:
    """Type, data and id of an event by its lines; None without data."""
    fields: dict[str, str] = {"event": "message", "id": ""}
    data: list[str] = []
    for line in _LINES.split(block.decode("utf-8", "replace").lstrip("\ufeff")):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name in fields:
            fields[name] = value
    fields["data"] = "\n".join(data)
    return fields if data else None


def about(blocks: list[bytes], facts: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The type and the facts of a message with these blocks."""
    events = [found for block in blocks if (found := event(block))]
    return ("event", {**facts, **events[0], "events": events}) if events else ("comment", dict(facts))


class EventChunks(Chunks):
    """Events in chunks."""

    def __init__(self, half: Half, head: Message, facts: Mapping[str, Any]) -> None:
        super().__init__(half, head, facts)
        self._scanned = 0  # bytes of whole chunks that completed no event yet
        self._begun = b""  # of an event, out of its chunks

    def read(self, data: bytes, at: int, out: list[Message]) -> int:
        """The chunks up to one that completes an event."""
        here = at + self._scanned
        start, end = chunk_at(data, here)
        if not start:
            return self._half.wait(data, at)
        if here > at and (end == start or end - at > MOST):
            return self._without_event(data, at, here, out, whole=end == start)
        if end == start:
            return self._end(data, at, start, out)
        if end - at > MOST:
            self._begun = b""
            self._half.reader = Part(self._half, end - at, self._message(b""), self)
            return at
        if end > len(data):
            return self._half.wait(data, at, end - at)
        ends_in_line(data, end)
        return self._chunk(data, at, (start, end), out)

    def _chunk(self, data: bytes, at: int, chunk: tuple[int, int], out: list[Message]) -> int:
        blocks = self._blocks(data[chunk[0] : chunk[1] - 2])
        if not blocks:
            self._scanned = chunk[1] - at
            return at
        self._scanned = 0
        type, facts = about(blocks, self._facts)
        out.append(Message(data[at : chunk[1]], type, self._text, self._exchange, facts=facts))
        return chunk[1]

    def _blocks(self, body: bytes) -> list[bytes]:
        searched = max(0, len(self._begun) - _LONGEST)
        text, blocks, at = self._begun + body, [], 0
        while found := BLANK_LINE.search(text, max(at, searched)):
            blocks.append(text[at : found.start()])
            at = found.end()
        self._begun = text[at:]
        return blocks

    def _without_event(self, data: bytes, at: int, here: int, out: list[Message], whole: bool) -> int:
        out.append(self._message(data[at:here], whole=whole))
        self._scanned, self._begun = 0, b""
        return here


class Events(Body):
    """Events without chunks: of a known length, or until the connection closes."""

    def __init__(self, half: Half, head: Message, facts: Mapping[str, Any], size: int) -> None:
        super().__init__(half, head, facts)
        self._left = size  # below 0: until the connection closes
        self._searched = 0

    def read(self, data: bytes, at: int, out: list[Message]) -> int:
        """An event."""
        limit = len(data) if self._left < 0 else min(len(data), at + self._left)
        found = BLANK_LINE.search(data, at + self._searched, limit)
        end = found.end() if found else limit
        long = end - at > MOST
        if not found and not long and end - at != self._left:
            self._searched = max(0, limit - at - _LONGEST)
            return self._half.wait(data, at)
        self._searched = 0
        return self._tell(data, at, end if not long else at + MOST, out, block=bool(found) and not long, whole=not long)

    def _tell(self, data: bytes, at: int, end: int, out: list[Message], *, block: bool, whole: bool) -> int:
        type, facts = about([data[at:end]], self._facts) if block else ("body", dict(self._facts))
        if self._left > 0:
            self._left -= end - at
            if not self._left:
                self._half.over()
        last = self._half.reader is not self
        out.append(Message(data[at:end], type, self._text, self._exchange, last, whole, facts))
        return end
