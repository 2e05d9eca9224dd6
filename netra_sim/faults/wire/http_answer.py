"""Answers that a proxy makes up, as bytes (RFC 9112)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus


def http_answer(
    status: int, headers: Mapping[str, str] | None = None, body: bytes = b"", *, retry_after: float | None = None
) -> bytes:
    """A whole response that ends its connection unless `headers` say else; `retry_after` in seconds, rounded up.

    Its length is that of `body` unless `headers` say else. ValueError for a status outside 200 to 599, or a header
    with a line end in it.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"no final status: {status}")
    fields = {"content-length": str(len(body)), "connection": "close"}
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        del fields["content-length"]
    if retry_after is not None:
        fields["retry-after"] = str(-int(-retry_after // 1))
    fields |= {name.lower(): value for name, value in (headers or {}).items()}
    rows = [f"HTTP/1.1 {status} {_reason(status)}", *(f"{name}: {value}" for name, value in fields.items())]
    if any("\r" in row or "\n" in row for row in rows):
        raise ValueError("a header holds a line end")
    return "\r\n".join([*rows, "", ""]).encode("latin-1") + body


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
