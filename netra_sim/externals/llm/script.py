"""Scripted misbehaviour: which request is treated how. No I/O.

A script is a list of rules `{"match": {model?, agent?, nth?, probability?}, "do": {status?, retry_after?, delay_s?,
malformed?, wrong_schema?, wrong_tool?, wrong_usage?, cut_after_tokens?, stall_after_tokens?, reset?}}`. The first rule
that applies decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.rng import Rng

_NUMBER = (int, float)
_MATCH: dict[str, tuple[type, ...]] = {"model": (str,), "agent": (str,), "nth": (int,), "probability": _NUMBER}
_DO: dict[str, tuple[type, ...]] = {
    "status": (int,),
    "retry_after": _NUMBER,
    "delay_s": _NUMBER,
    "malformed": (bool,),
    "wrong_schema": (bool,),
    "wrong_tool": (bool,),
    "wrong_usage": (bool,),
    "cut_after_tokens": (int,),
    "stall_after_tokens": (int,),
    "reset": (bool,),
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What is done to a request: times in seconds, not scaled; no status means a normal answer.

    A stalled answer stays silent on an open connection; a reset comes before any byte.
    """

    status: int | None = None
    retry_after: float | None = None
    delay_s: float = 0.0
    malformed: bool = False
    wrong_schema: bool = False
    wrong_tool: bool = False
    wrong_usage: bool = False
    cut_after_tokens: int | None = None
    stall_after_tokens: int | None = None
    reset: bool = False

    @property
    def name(self) -> str:
        """What it does, in a word, for the log."""
        if self.status is not None or self.retry_after is not None:
            return "refused"
        done = {
            "reset": self.reset, "stalled": self.stall_after_tokens is not None,
            "cut": self.cut_after_tokens is not None, "malformed": self.malformed,
            "wrong_schema": self.wrong_schema, "wrong_tool": self.wrong_tool,
            "wrong_usage": self.wrong_usage, "delayed": self.delay_s > 0,
        }  # fmt: skip
        return next((name for name, does in done.items() if does), "ok")


NORMAL = Behaviour()


@dataclass(slots=True)
class Rule:
    """A behaviour for the requests that match; `nth` counts from 1 those with the rule's model and agent."""

    do: Behaviour
    model: str | None = None
    agent: str | None = None
    nth: int | None = None
    probability: float = 1.0
    count: int = 0

    def strikes(self, rng: Rng, model: str, agent: str) -> bool:
        """Whether this request is struck; the chance is drawn from the request's own place, not from its order."""
        if self.model not in (None, model) or self.agent not in (None, agent):
            return False
        self.count += 1
        return self.nth in (None, self.count) and rng.stream("chance").random() < self.probability


@dataclass(slots=True)
class Script:
    """The rules in force, in their order; `hits` counts the requests that one of them applied to."""

    rules: list[Rule] = field(default_factory=list)
    hits: int = 0

    def behaviour(self, rng: Rng, model: str, agent: str) -> Behaviour | None:
        """How to treat the next request, None for no rule; every rule counts it, the first that applies decides."""
        struck = [r.do for number, r in enumerate(self.rules) if r.strikes(rng.child("script", number), model, agent)]
        self.hits += bool(struck)
        return struck[0] if struck else None


@dataclass(slots=True)
class Scripts:
    """The scripts in force by API key and name; those of the empty key are for every key, after its own."""

    by_key: dict[str, dict[str, Script]] = field(default_factory=dict)

    def put(self, key: str, name: str, new: Script) -> int:
        """Set one, or remove it when it has no rules; the hits of what it replaces."""
        named = self.by_key.setdefault(key, {})
        old = named.pop(name, None)
        if new.rules:
            named[name] = new
        elif not named:
            del self.by_key[key]
        return old.hits if old else 0

    def behaviour(self, key: str, rng: Rng, model: str, agent: str) -> Behaviour:
        """What the first script with a rule for the request says."""
        scripts = [s for k in dict.fromkeys((key, "")) for s in self.by_key.get(k, {}).values()]
        return next((do for s in scripts if (do := s.behaviour(rng, model, agent)) is not None), NORMAL)


def parse(data: Any) -> Script:
    """The script in a JSON value; BadValue names the field that is wrong."""
    if not isinstance(data, list):
        raise BadValue(field="script", value=data, allowed="a list of rules")
    return Script([_rule(f"script[{number}]", item) for number, item in enumerate(data)])


def _rule(where: str, item: Any) -> Rule:
    if not isinstance(item, dict) or not set(item) <= {"match", "do"}:
        raise BadValue(field=where, value=item, allowed="an object with match and do")
    match = _checked(f"{where}.match", item.get("match", {}), _MATCH)
    do = _checked(f"{where}.do", item.get("do"), _DO)
    if not 400 <= do.get("status", 400) <= 599:
        raise BadValue(field=f"{where}.do.status", value=do["status"], allowed="400 to 599")
    return Rule(Behaviour(**do), **match)


def _checked(where: str, fields: Any, known: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """The fields, each of the type it must have and no number below 0."""
    if not isinstance(fields, dict):
        raise BadValue(field=where, value=fields, allowed=f"an object with {', '.join(known)}")
    for name, value in fields.items():
        if name not in known:
            raise BadValue(field=f"{where}.{name}", value=value, allowed=f"one of the fields {', '.join(known)}")
        wrong_bool = isinstance(value, bool) and bool not in known[name]
        negative = isinstance(value, int | float) and value < 0
        if wrong_bool or negative or not isinstance(value, known[name]):
            allowed = " or ".join(kind.__name__ for kind in known[name])
            raise BadValue(field=f"{where}.{name}", value=value, allowed=f"{allowed}, not negative")
    return fields
