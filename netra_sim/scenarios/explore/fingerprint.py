"""What an exchange is called: its edge, what it says without the values of this run, and its number in the flow. Pure.

The name stays when a protection is removed, and says how a fault finds the same exchange in another run.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from netra_sim.kernel.errors import BadValue

LONGEST = 100  # characters of a statement that name it
SETUP = frozenset(["HELLO", "CLIENT", "AUTH", "SELECT", "PING", "SUBSCRIBE", "UNSUBSCRIBE", "QUIT", "COMMAND"])
KEYLESS = frozenset(["PUBLISH"])  # what they name is their first word all the same
READING = ("SELECT", "BEGIN", "SHOW", "GET", "PTTL", "XRANGE", "XREVRANGE", "EXISTS", "TTL")

_COMMENT = re.compile(r"--[^\n]*")
_TEXT = re.compile(r"'(?:[^']|'')*'")
_NUMBER = re.compile(r"(?<![\w$.])\d+(?:\.\d+)?\b")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,}|\b\d+\b", re.IGNORECASE)
_SPACE = r"(?:\s|--[^\n]*\n)+"
_VALUE = r"(?:'(?:[^']|'')*'|[\d.]+)"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange of a flow; `nth` counts those of the same edge and fingerprint from 1."""

    edge: str
    fingerprint: str
    nth: int = 1

    @property
    def id(self) -> str:
        """The name as one text: `postgres: COMMIT #2`."""
        return f"{self.edge}: {self.fingerprint} #{self.nth}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The exchange of an id; BadValue for what is none."""
        found = re.fullmatch(r"([\w-]+): (.+) #([1-9]\d*)", text, re.DOTALL)
        if found is None:
            raise BadValue(field="exchange", value=text, allowed="edge: fingerprint #nth")
        return cls(found[1], found[2], int(found[3]))

    @property
    def kind(self) -> str:
        """statement, command, request, event (of a stream), heard or said (frames, as the client sees them)."""
        if self.edge in ("postgres", "redis"):
            return "statement" if self.edge == "postgres" else "command"
        return {"<": "heard", ">": "said", "~": "event"}.get(self.fingerprint[0], "request")

    @property
    def reads(self) -> bool:
        """Whether it changes nothing behind the edge."""
        if self.kind == "request":
            return self.fingerprint.startswith("GET ") or self.edge == "clickhouse"
        return self.fingerprint.startswith(READING) and "pg_notify" not in self.fingerprint

    @property
    def pattern(self) -> str:
        """A regular expression that finds it by the text of its messages."""
        said = self.fingerprint
        if self.kind == "statement":
            words = [re.escape(word).replace(r"\?", _VALUE) for word in said.removesuffix(" …").split()]
            return rf"^\s*{_SPACE.join(words)}" + ("" if said.endswith(" …") else r"[\s;]*$")
        if self.kind == "command":
            command, _, key = said.partition(" ")
            return rf"^{command}\b" + (rf"\s\S*{_wild(key)}(\s|$)" if key else "")
        if self.kind == "request":
            return rf"^{_wild(said)}(\?|$)"
        return "" if self.kind == "event" else rf'"type":\s?"{re.escape(said[2:])}"'


def fingerprint(edge: str, message: Mapping[str, Any], prefix: str = "") -> str | None:
    """What a recorded message is called, None for one that begins no exchange; `prefix` is that of the run's keys.

    Of Postgres the execution of a statement counts: its preparation depends on what a pooled connection has seen.
    Setting up a connection is none either: pools do it when they like.
    """
    type_, text, up = message["type"], message["text"], message["stream"] == "upstream"
    if edge == "postgres":
        return _statement(text) if up and type_ in ("Bind", "Query") else None
    if edge == "redis":
        return _command(message, prefix) if up and type_ == "command" else None
    if type_ == "request":
        return _route(text)
    if type_ == "event":
        return "~ event" if not up else None
    return _frame(text, ">" if up else "<") if type_ == "text" else None


def exchanges(messages: Iterable[tuple[str, Mapping[str, Any]]], prefix: str = "") -> list[Exchange]:
    """Those of a recording, given as (edge, message) in the order of time."""
    counts: Counter[tuple[str, str]] = Counter()
    found = []
    for edge, message in messages:
        name = fingerprint(edge, message, prefix)
        if name is not None:
            counts[edge, name] += 1
            found.append(Exchange(edge, name, counts[edge, name]))
    return found


def _statement(sql: str) -> str | None:
    words = " ".join(_NUMBER.sub("?", _TEXT.sub("?", _COMMENT.sub("", sql))).split()).rstrip("; ")
    if len(words) > LONGEST:
        words = words[:LONGEST].rpartition(" ")[0] + " …"
    return words or None


def _command(message: Mapping[str, Any], prefix: str) -> str | None:
    command, _, rest = str(message["text"]).partition(" ")
    command = command.upper()
    if command in SETUP:
        return None
    key = str(message["facts"].get("key") or (rest.partition(" ")[0] if command in KEYLESS else ""))
    return f"{command} {_ID.sub('*', key.removeprefix(prefix))}".strip()


def _route(text: str) -> str:
    method, _, target = text.partition(" ")
    return f"{method} {_ID.sub('*', target.partition('?')[0])}"


def _frame(text: str, direction: str) -> str | None:
    try:
        return f"{direction} {json.loads(text)['type']}"
    except (ValueError, KeyError, TypeError):
        found = re.search(r'"type":\s?"(\w+)"', text)  # of a long frame only the beginning was kept
        return f"{direction} {found[1]}" if found else None


def _wild(text: str) -> str:
    return re.escape(text).replace(r"\*", r"[^\s/?]*")
