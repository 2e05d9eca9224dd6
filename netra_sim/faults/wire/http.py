"""HTTP/1.x (RFC 9110, 9112) with server-sent events and, after an upgrade, WebSocket, as messages.

Types: "request" and "response" (heads), "body", "end" (the last chunk), "event" and "comment" (`sse`), frames
(`websocket`), "opaque". Every request, and every response whose end is told in its bytes, has exactly one message
whose `last` is true: its head where it has no body, the piece with the last byte of a known length, else its "end".
An interim response (1xx) is not last, and an answer that only the connection's close ends has no last message.
Pieces of a body without chunks are told as they come, so that they alone depend on the slices.

All messages of an answer have the text of its request, and its method and path as facts. TLS, HTTP/2, CONNECT and
upgrades to anything but WebSocket are opaque, as is everything in both directions after what is no HTTP.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from netra_sim.faults.wire.base import Conversation, Message, Stream
from netra_sim.faults.wire.http_body import Body, Chunks, Sized
from netra_sim.faults.wire.http_head import (
    CHUNKED,
    REQUEST_BEGINS,
    REQUEST_LINE,
    STATUS_BEGINS,
    STATUS_LINE,
    Heads,
    parsed,
    path_of,
    request_body,
    response_body,
)
from netra_sim.faults.wire.reading import Half, Opaque
from netra_sim.faults.wire.sse import EventChunks, Events
from netra_sim.faults.wire.websocket import Frames


class _Asked(NamedTuple):
    """A request that waits for its answer."""

    exchange: int
    method: str
    path: str
    text: str


_NOBODY = _Asked(0, "", "", "")  # asked for an answer that comes unasked, such as 408


class Http(Conversation):
    """A connection that speaks HTTP/1.x."""

    protocol: ClassVar[str] = "http"

    def __init__(self) -> None:
        self._requests = 0
        self._answering = 0
        self._asked: deque[_Asked] = deque()
        self._up, self._down = Half(), Half()
        self._up.becomes(Heads(self._up, REQUEST_LINE, REQUEST_BEGINS, self._request))
        self._down.becomes(Heads(self._down, STATUS_LINE, STATUS_BEGINS, self._response))

    def feed(self, stream: Stream, data: bytes) -> list[Message]:
        """The messages that these bytes complete, in order."""
        half = self._up if stream == "upstream" else self._down
        messages = half.feed(data)
        if half.trouble and not self.opaque:
            self._give_up(half.trouble)
        return messages

    def rest(self, stream: Stream) -> bytes:
        """The bytes of a message that is not complete yet."""
        return (self._up if stream == "upstream" else self._down).rest()

    def awaited(self) -> int:
        """The oldest exchange whose answer is not complete."""
        if self._down.reader is not self._down.start:
            return self._answering
        return self._asked[0].exchange if self._asked else 0

    def _give_up(self, why: str) -> None:
        self.opaque = why
        self._up.becomes(Opaque())
        self._down.becomes(Opaque())

    def _request(self, raw: bytes, head: str) -> Message:
        (method, target, version), headers = parsed(head, REQUEST_LINE)
        size = request_body(headers)
        self._requests += 1
        asked = _Asked(self._requests, method, path_of(target), f"{method} {target}")
        self._asked.append(asked)
        facts = {"method": method, "path": asked.path, "target": target, "headers": headers, "version": version}
        told = Message(raw, "request", asked.text, asked.exchange, last=size == 0, facts=facts)
        if size:
            self._body(self._up, told, size, {"method": method, "path": asked.path})
        return told

    def _response(self, raw: bytes, head: str) -> Message:
        (version, code, reason), headers = parsed(head, STATUS_LINE)
        status = int(code)
        asked = self._asked[0] if self._asked else _NOBODY
        self._answering = asked.exchange
        switch = status == 101 or (asked.method == "CONNECT" and 200 <= status < 300)
        size = 0 if switch else response_body(asked.method, status, headers)
        over = status >= 200 or switch
        if over and self._asked:
            self._asked.popleft()
        facts: dict[str, Any] = {"status": status, "reason": reason, "headers": headers, "version": version}
        facts["method"], facts["path"] = asked.method, asked.path
        told = Message(raw, "response", asked.text, asked.exchange, last=over and size == 0, facts=facts)
        if size:
            self._body(self._down, told, size, {"method": asked.method, "path": asked.path, "status": status})
        elif switch:
            self._switch(asked, headers.get("upgrade", ""))
        return told

    def _body(self, half: Half, head: Message, size: int, facts: dict[str, Any]) -> None:
        """What follows is this head's body; every message of it says whether it stands in chunks."""
        facts["chunked"] = size == CHUNKED
        events = half is self._down and _tells_events(head.facts["headers"])
        body: Body
        if size == CHUNKED:
            body = (EventChunks if events else Chunks)(half, head, facts)
        else:
            body = (Events if events else Sized)(half, head, facts, size)
        half.reader = body

    def _switch(self, asked: _Asked, to: str) -> None:
        """The connection speaks another protocol from here on; a request's body that is under way ends first."""
        if to.lower() == "websocket":
            self._down.becomes(Frames(self._down, asked.path))
            self._up.starts_with(Frames(self._up, asked.path))
        else:
            self._give_up(asked.method if asked.method == "CONNECT" else f"upgrade to {to or 'nothing named'}")


def _tells_events(headers: Mapping[str, str]) -> bool:
    """Whether a body is server-sent events that can be read, which compressed ones cannot."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "text/event-stream" and headers.get("content-encoding", "identity") == "identity"
