"""WebSocket frames (RFC 6455), and permessage-deflate's mark (RFC 7692): a message is a frame."""

from __future__ import annotations

from typing import Any

from netra_sim.faults.wire.base import MOST, Message
from netra_sim.faults.wire.reading import Half, NotUnderstood, Part

MOST_TEXT = 4096  # characters of a frame that are told as text
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
TYPES = {
    CONTINUATION: "continuation",
    TEXT: "text",
    BINARY: "binary",
    CLOSE: "close",
    PING: "ping",
    PONG: "pong",
}
_FIN, _COMPRESSED, _MASKED = 0x80, 0x40, 0x80
_NO_STATUS = 1005  # what a close frame without a code means


def _understood(first: int) -> bool:
    """Whether a frame may start with this byte: known opcode, no RSV2 or RSV3, control frames whole and plain."""
    if first & 0x30 or first & 0x0F not in TYPES:
        return False
    return not first & 0x08 or (first & (_FIN | _COMPRESSED)) == _FIN


_STARTS = [TYPES[first & 0x0F] if _understood(first) else "" for first in range(256)]


class Frames:
    """Reads frames. facts["message"] numbers the messages of a direction from 1; a control frame has the number 0."""

    def __init__(self, half: Half, path: str) -> None:
        self._half, self._path = half, path
        self._message, self._opcode, self._compressed = 0, 0, False

    def read(self, data: bytes, at: int, out: list[Message]) -> int:
        """A frame; of one over MOST, its parts."""
        first = data[at]
        type = _STARTS[first]
        if not type:
            raise NotUnderstood("not a WebSocket frame")
        if first & 0x08 and len(data) - at > 1 and data[at + 1] & 0x7F > 125:
            raise NotUnderstood("a control frame of more than 125 bytes")
        payload, end = extent(data, at)
        if not payload:
            return self._half.wait(data, at)
        long = end - at > MOST
        if end > len(data) and not long:
            return self._half.wait(data, at, end - at)
        facts = self._facts(first, end - payload)
        if long:
            self._half.reader = Part(self._half, end - at, Message(b"", type, facts=facts), self)
            return at
        text = ""
        if first & 0x08:
            if type == "close":
                facts["code"], facts["reason"] = close_reason(unmasked(data, at, payload, end))
        elif self._opcode == TEXT and not self._compressed:
            text = unmasked(data, at, payload, min(end, payload + 4 * MOST_TEXT)).decode("utf-8", "replace")[:MOST_TEXT]
        out.append(Message(data[at:end], type, text, facts=facts))
        return end

    def _facts(self, first: int, length: int) -> dict[str, Any]:
        opcode, number, compressed = first & 0x0F, 0, False
        if not opcode & 0x08:
            if opcode:
                self._message += 1
                self._opcode, self._compressed = opcode, first & _COMPRESSED != 0
            number, compressed = self._message, self._compressed
        return {
            "fin": first & _FIN != 0,
            "opcode": opcode,
            "length": length,
            "compressed": compressed,
            "message": number,
            "path": self._path,
        }


def extent(data: bytes, at: int = 0) -> tuple[int, int]:
    """Where a frame's payload starts and ends; (0, 0) while its length is not there."""
    size = len(data) - at
    if size < 2:
        return 0, 0
    second = data[at + 1]
    length, start = second & 0x7F, at + 2
    if length > 125:
        width = 2 if length == 126 else 8
        if size < 2 + width:
            return 0, 0
        length = int.from_bytes(data[start : start + width], "big")
        start += width
    if second & _MASKED:
        start += 4
    return start, start + length


def unmasked(data: bytes, at: int, start: int, end: int) -> bytes:
    """The bytes of a frame from `start`, where its payload starts, to `end`, without the mask."""
    payload = data[start:end]
    return masked(payload, data[start - 4 : start]) if data[at + 1] & _MASKED else payload


def masked(payload: bytes, mask: bytes) -> bytes:
    """The payload under a mask of four bytes; masking twice gives it back (RFC 6455, 5.3)."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def close_reason(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame by its payload without mask; 1005 is the code of none."""
    code = int.from_bytes(payload[:2], "big") if len(payload) > 1 else _NO_STATUS
    return code, payload[2:].decode("utf-8", "replace")


def payload_of(raw: bytes) -> bytes:
    """The payload of a whole frame, without its mask; compressed where the frame is."""
    return unmasked(raw, 0, *extent(raw))


def frame(opcode: int, payload: bytes, *, mask: bytes = b"", fin: bool = True) -> bytes:
    """A frame: with a mask of four bytes as a client sends it, without one as a server does."""
    return _frame(opcode | (_FIN if fin else 0), payload, mask)


def close_frame(code: int, reason: str = "", *, mask: bytes = b"") -> bytes:
    """A close frame; a reason of more than 123 bytes is cut between its characters."""
    words = reason.encode()[:123].decode("utf-8", "ignore").encode()
    return frame(CLOSE, code.to_bytes(2, "big") + words, mask=mask)


def with_payload(raw: bytes, payload: bytes) -> bytes:
    """A whole frame with another payload: its length fits, all else and the mask stay as they are."""
    start, _ = extent(raw)
    return _frame(raw[0], payload, raw[start - 4 : start] if raw[1] & _MASKED else b"")


def _frame(first: int, payload: bytes, mask: bytes) -> bytes:
    size, bit = len(payload), _MASKED if mask else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 1 << 16:
        head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    return head + (mask + masked(payload, mask) if mask else payload)
