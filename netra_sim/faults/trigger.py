"""What a step waits for: the nth record of the history that is of a kind."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from netra_sim.kernel.errors import BadValue, UnknownName
from netra_sim.kernel.history import HistoryWriter, Record

PHASES = ("invoke", "ok", "fail", "unknown", "seen", "fired", "healed")  # all are planned before anybody waits


@dataclass(frozen=True)
class Trigger:
    """The `nth` record from the load's beginning on with this `f`, and with `phase` and `actor` where they are given.

    Of its value, `value` names what must be equal.
    """

    f: str
    phase: str | None = None
    actor: str | None = None
    value: Mapping[str, Any] = field(default_factory=dict)
    nth: int = 1

    @staticmethod
    def parse(given: Any) -> Trigger:
        """The trigger of a step's `after`; UnknownName or BadValue names the field that is wrong and what it takes."""
        known = [f.name for f in fields(Trigger)]
        if not isinstance(given, Mapping) or "f" not in given:
            raise BadValue(
                field="after", value=given, allowed=f'an object with "f" (of {", ".join(known)}), or nothing'
            )
        for name in given:
            if name not in known:
                raise UnknownName(what="field of after", name=name, known=", ".join(known))
        _text("f", given["f"], "the name of an operation, an observation or a kind of fault")
        if given.get("actor") is not None:
            _text("actor", given["actor"], "a name such as user-1, or nothing")
        if given.get("phase") not in (None, *PHASES):
            raise BadValue(field="after.phase", value=given["phase"], allowed=f"{', '.join(PHASES)}, or nothing")
        if not isinstance(given.get("value", {}), Mapping):
            raise BadValue(field="after.value", value=given["value"], allowed="an object")
        nth = given.get("nth", 1)
        if not isinstance(nth, int) or isinstance(nth, bool) or nth < 1:
            raise BadValue(field="after.nth", value=nth, allowed="1 or more")
        return Trigger(**given)

    def fits(self, record: Record) -> bool:
        """Whether this is one of the records that are counted."""
        return (
            record.f == self.f
            and self.phase in (None, record.phase)
            and self.actor in (None, record.actor)
            and all(name in record.value and record.value[name] == wanted for name, wanted in self.value.items())
        )

    def come(self, history: HistoryWriter) -> asyncio.Future[Record]:
        """Done when the last of so many has been written, from now on."""
        number = itertools.count(1)
        return history.first(lambda record: self.fits(record) and next(number) == self.nth)


def frames(type_: str, nth: int) -> Trigger:
    """The nth frame of this type that users receive."""
    return Trigger("frame", "seen", value={"type": type_}, nth=nth)


def _text(name: str, value: Any, allowed: str) -> None:
    if not isinstance(value, str) or not value:
        raise BadValue(field=f"after.{name}", value=value, allowed=allowed)
