"""Heads of HTTP/1.x messages, and what they say of the body (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from netra_sim.faults.wire.base import Message
from netra_sim.faults.wire.reading import Half, NotUnderstood

MOST_HEAD = 1 << 16  # bytes of a head; what is longer is no HTTP
HEAD_END = re.compile(rb"\n\r?\n")
CHUNKED = -1  # a body of chunks
UNTIL_CLOSE = -2  # a body that the end of the connection ends

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
REQUEST_LINE = re.compile(rf"[\r\n]*({_TOKEN}{{1,64}}) ([^\x00-\x20\x7f]+) HTTP/(1\.[0-9])\r?\n")
STATUS_LINE = re.compile(r"[\r\n]*HTTP/(1\.[0-9]) ([1-9][0-9][0-9])(?: ([^\r\n]*))?\r?\n")
# What a line that has not ended may look like: what cannot become HTTP is not waited for.
REQUEST_BEGINS = re.compile(
    rf"[\r\n]*(?:{_TOKEN}{{1,64}}(?: (?:[^\x00-\x20\x7f]+(?: (?:H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.[0-9]?\r?)?)?)?)?)?"
)
STATUS_BEGINS = re.compile(
    r"[\r\n]*(?:H|HT|HTT|HTTP|HTTP/|HTTP/1|HTTP/1\.|HTTP/1\.[0-9]|HTTP/1\.[0-9] [0-9]{0,3}"
    r"|HTTP/1\.[0-9] [0-9]{3}(?:\r| [^\r\n]*\r?))?"
)
_LENGTH = re.compile(r"[0-9]{1,18}")


class Heads:
    """Reads a head: everything up to its empty line, which `tell` makes a message of."""

    def __init__(
        self, half: Half, line: re.Pattern[str], begins: re.Pattern[str], tell: Callable[[bytes, str], Message]
    ) -> None:
        self._half, self._line, self._begins, self._tell = half, line, begins, tell
        self._searched = 0

    def read(self, data: bytes, at: int, out: list[Message]) -> int:
        """A head, with the empty lines that stand before it."""
        start = at
        while data[start : start + 1] in (b"\r", b"\n"):
            start += 1
        found = HEAD_END.search(data, max(start, at + self._searched))
        if (found.end() if found else len(data)) - at > MOST_HEAD:
            raise NotUnderstood("a head over 64 KiB")
        if not found:
            self._plausible(data[at:].decode("latin-1"))
            self._searched = max(0, len(data) - at - 3)
            return self._half.wait(data, at)
        self._searched = 0
        raw = data[at : found.end()]
        out.append(self._tell(raw, raw.decode("latin-1")))
        return found.end()

    def _plausible(self, text: str) -> None:
        if not self._line.match(text) and not self._begins.fullmatch(text):
            raise NotUnderstood(what_instead(text))


def what_instead(text: str) -> str:
    """Why this is no head of HTTP/1.x."""
    if text.startswith("\x16"):
        return "TLS"
    return "HTTP/2" if text.startswith("PRI * HTTP/2") else "not HTTP/1"


def parsed(head: str, line: re.Pattern[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The parts of a head's first line, and its headers by name in lower case; NotUnderstood for what is no head."""
    first = line.match(head)
    if first is None:
        raise NotUnderstood(what_instead(head))
    headers: dict[str, str] = {}
    for row in lines(head[first.end() :]):
        name, colon, value = row.partition(":")
        if not colon or not name or name[-1] in " \t":
            raise NotUnderstood("not a header")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return first.groups(""), headers


def lines(text: str) -> list[str]:
    """Header lines, without the empty one at the end; one that is folded is one line."""
    rows = text.replace("\r\n", "\n").rstrip("\n")
    if "\n " in rows or "\n\t" in rows:
        rows = re.sub(r"\n[ \t]+", " ", rows)
    return rows.split("\n") if rows else []


def path_of(target: str) -> str:
    """The path of a request's target, whose form may be absolute, without its query."""
    path = target.partition("?")[0]
    if "://" not in path or path.startswith("/"):
        return path
    return "/" + path.partition("://")[2].partition("/")[2]


def request_body(headers: Mapping[str, str]) -> int:
    """The length of a request's body, or CHUNKED; NotUnderstood where nobody can know (RFC 9112, 6.3)."""
    if "transfer-encoding" in headers:
        if not _chunked(headers):
            raise NotUnderstood("a request whose end nobody can know")
        return CHUNKED
    return _length(headers["content-length"]) if "content-length" in headers else 0


def response_body(method: str, status: int, headers: Mapping[str, str]) -> int:
    """The length of a response's body, CHUNKED, or UNTIL_CLOSE (RFC 9112, 6.3)."""
    if method == "HEAD" or status < 200 or status in (204, 304):
        return 0
    if "transfer-encoding" in headers:
        return CHUNKED if _chunked(headers) else UNTIL_CLOSE
    return _length(headers["content-length"]) if "content-length" in headers else UNTIL_CLOSE


def _chunked(headers: Mapping[str, str]) -> bool:
    return headers["transfer-encoding"].lower().rpartition(",")[2].strip() == "chunked"


def _length(value: str) -> int:
    if _LENGTH.fullmatch(value):
        return int(value)
    same = {part.strip() for part in value.split(",")}  # one length said twice is one length
    if len(same) != 1 or not _LENGTH.fullmatch(next(iter(same))):
        raise NotUnderstood("not a content length")
    return int(same.pop())
