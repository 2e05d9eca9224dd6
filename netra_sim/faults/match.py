"""Which messages a fault takes: all that a matcher names must hold, and the counters say which of those it strikes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from functools import cached_property
from random import Random
from typing import Any

from netra_sim.faults.wire.base import OPAQUE, Message
from netra_sim.kernel.errors import BadValue, UnknownName


@dataclass(frozen=True)
class Matcher:
    """What a message must be: empty takes every whole message that is understood.

    `type` exact, or several; `text` a regular expression in the message's text; `key`, `path`, `status` globs on its
    facts (status: of HTTP, or the SQLSTATE); `value` a literal in its bytes or text; `connection` the proxy's nth.
    `nth`, `every` and `first` count matches over the whole proxy from 1; `probability` is drawn for those left.
    """

    type: tuple[str, ...] = ()
    text: str = ""
    key: str = ""
    path: str = ""
    status: str = ""
    value: str = ""
    connection: int = 0
    nth: int = 0
    every: int = 0
    first: int = 0
    probability: float = 1.0

    @staticmethod
    def parse(given: Any, place: str = "match") -> Matcher:
        """A matcher out of JSON; BadValue or UnknownName tells the field and what is allowed."""
        if isinstance(given, Matcher):
            return given
        if not isinstance(given, Mapping):
            raise BadValue(field=place, value=given, allowed="an object of " + ", ".join(_FIELDS))
        taken: dict[str, Any] = {}
        for name, value in given.items():
            if name not in _FIELDS:
                raise UnknownName(what=f"field of {place}", name=str(name), known=", ".join(_FIELDS))
            taken[name] = _CHECKS[name](f"{place}.{name}", value)
        return Matcher(**taken)

    def as_dict(self) -> dict[str, Any]:
        """What differs from a matcher that takes everything, as JSON."""
        said = {name: getattr(self, name) for name in _FIELDS if getattr(self, name) != getattr(ALL, name)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}

    def fits(self, message: Message, connection: int) -> bool:
        """Whether the message is one of those named; counters aside. Parts of a long message never are."""
        if not message.whole or (self.connection and self.connection != connection):
            return False
        if message.type not in self.type if self.type else message.type == OPAQUE:
            return False
        if self.text and not self._pattern.search(message.text):
            return False
        return self._fits_facts(message) and self._fits_value(message)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.text, re.IGNORECASE)

    def _fits_facts(self, message: Message) -> bool:
        facts = message.facts
        if self.key and not any(fnmatchcase(str(key), self.key) for key in _keys(facts)):
            return False
        if self.path and not fnmatchcase(str(facts.get("path", "")), self.path):
            return False
        return not self.status or fnmatchcase(str(facts.get("status", facts.get("sqlstate", ""))), self.status)

    def _fits_value(self, message: Message) -> bool:
        return not self.value or self.value.encode() in message.raw or self.value in message.text


@dataclass
class Counter:
    """How many messages have fitted so far, over a whole proxy."""

    seen: int = 0

    def strikes(self, matcher: Matcher, rng: Random) -> bool:
        """Count one more that fits; whether it is one of those to strike."""
        self.seen += 1
        if matcher.nth and self.seen != matcher.nth:
            return False
        if matcher.every and self.seen % matcher.every:
            return False
        if matcher.first and self.seen > matcher.first:
            return False
        return matcher.probability >= 1 or rng.random() < matcher.probability


ALL = Matcher()
_FIELDS = tuple(field.name for field in fields(Matcher))


def _keys(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    keys = facts.get("keys")
    return tuple(keys) if keys else tuple(key for key in (facts.get("key"),) if key is not None)


def _types(field: str, value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not listed or not all(isinstance(t, str) and t for t in listed):
        raise BadValue(field=field, value=value, allowed="a message type, or a list of them")
    return tuple(listed)


def _string(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadValue(field=field, value=value, allowed="a text")
    return value


def _pattern(field: str, value: Any) -> str:
    try:
        re.compile(_string(field, value), re.IGNORECASE)
    except re.error as error:
        raise BadValue(field=field, value=value, allowed=f"a regular expression ({error})") from error
    return str(value)


def _status(field: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadValue(field=field, value=value, allowed="a status such as 503 or 40001, or a glob such as 5*")
    return str(value)


def _count(field: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadValue(field=field, value=value, allowed="an integer, 1 or more")
    return value


def _share(field: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadValue(field=field, value=value, allowed="0 to 1")
    return float(value)


_CHECKS = {
    "type": _types, "text": _pattern, "key": _string, "path": _string, "status": _status, "value": _string,
    "connection": _count, "nth": _count, "every": _count, "first": _count, "probability": _share,
}  # fmt: skip
