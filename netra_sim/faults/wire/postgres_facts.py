"""What single messages of Postgres say: fields read from their bytes, when somebody asks for them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_FIELDS = {"C": "sqlstate", "M": "message", "D": "detail", "H": "hint", "n": "constraint", "t": "table"}


class Facts(Mapping[str, Any]):
    """The facts of one message; a broken message has those that can be read, or none."""

    __slots__ = ("_found", "_raw", "_read")

    def __init__(self, read: Callable[[bytes], dict[str, Any]], raw: bytes) -> None:
        self._read, self._raw = read, raw
        self._found: dict[str, Any] | None = None

    @property
    def _all(self) -> dict[str, Any]:
        if self._found is None:
            try:
                self._found = self._read(self._raw)
            except (IndexError, ValueError, struct.error):
                self._found = {}
        return self._found

    def __getitem__(self, name: str) -> Any:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def text(data: bytes) -> str:
    """As UTF-8, whatever it is."""
    return data.decode("utf-8", "replace")


def names(raw: bytes, at: int = 5) -> tuple[str, str]:
    """The first two strings of a message from a place on; what is missing is empty."""
    first = raw.find(b"\0", at)
    if first < 0:
        return text(raw[at:]), ""
    second = raw.find(b"\0", first + 1)
    return text(raw[at:first]), text(raw[first + 1 : second if second >= 0 else len(raw)])


def _startup(raw: bytes) -> dict[str, Any]:
    said = [text(part) for part in raw[8:].split(b"\0")]
    given = dict(zip(said[::2], said[1::2], strict=False))
    given.pop("", None)
    user = given.get("user", "")
    return {"user": user, "database": given.get("database") or user, "parameters": given}


def _bind(raw: bytes) -> dict[str, Any]:
    portal, statement = names(raw)
    at = raw.index(b"\0", raw.index(b"\0", 5) + 1) + 1
    at += 2 + 2 * int(struct.unpack_from(">H", raw, at)[0])
    count = int(struct.unpack_from(">H", raw, at)[0])
    return {"portal": portal, "statement": statement, "values": tuple(_values(raw, at + 2, count))}


def _values(raw: bytes, at: int, count: int) -> Iterator[bytes | None]:
    """Parameters as they are sent, None for NULL."""
    for _ in range(count):
        length = int(struct.unpack_from(">i", raw, at)[0])
        yield raw[at + 4 : at + 4 + length] if length >= 0 else None
        at += 4 + max(0, length)


def _problem(raw: bytes) -> dict[str, Any]:
    said = {part[:1].decode("latin-1"): text(part[1:]) for part in raw[5:].split(b"\0") if part}
    found = {name: said[code] for code, name in _FIELDS.items() if code in said}
    return {"severity": said.get("V", said.get("S", "")), "sqlstate": "", "message": "", **found}


def _target(raw: bytes) -> dict[str, Any]:
    return {"statement" if raw[5:6] == b"S" else "portal": names(raw, 6)[0]}


def _notification(raw: bytes) -> dict[str, Any]:
    channel, payload = names(raw, 9)
    return {"process": int.from_bytes(raw[5:9], "big"), "channel": channel, "payload": payload}


READERS: Mapping[str, Callable[[bytes], dict[str, Any]]] = {
    "StartupMessage": _startup,
    "CancelRequest": lambda raw: {"process": int.from_bytes(raw[8:12], "big")},
    "BackendKeyData": lambda raw: {"process": int.from_bytes(raw[5:9], "big")},
    "Parse": lambda raw: {"statement": names(raw)[0]},
    "Bind": _bind,
    "Describe": _target,
    "Close": _target,
    "Execute": lambda raw: {"portal": names(raw)[0], "rows": int.from_bytes(raw[-4:], "big")},
    "CommandComplete": lambda raw: {"tag": names(raw)[0]},
    "ReadyForQuery": lambda raw: {"status": chr(raw[5])},
    "ErrorResponse": _problem,
    "NoticeResponse": _problem,
    "ParameterStatus": lambda raw: dict(zip(("name", "value"), names(raw), strict=True)),
    "NotificationResponse": _notification,
}
