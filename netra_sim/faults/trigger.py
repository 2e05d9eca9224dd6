"""What a step waits for: the nth record of the history that is of a kind."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netra_sim.kernel.errors import BadValue, UnknownName
from netra_sim.kernel.history import HistoryWriter, Record

PHASES = ("invoke", "ok", "fail", "unknown", "seen", "fired", "healed")  # all are planned before anybody waits
FIELDS = ("f", "phase", "actor", "value")


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
    def parse(on: Any, nth: int) -> Trigger:
        """The trigger of a step's `on`: the type of a frame that users receive, or an object of the first four fields.

        UnknownName or BadValue names the field that is wrong and what it takes.
        """
        if isinstance(on, str) and on:
            return Trigger("frame", "seen", value={"type": on}, nth=nth)
        if not isinstance(on, Mapping) or "f" not in on:
            an_object = f'an object with "f" (of {", ".join(FIELDS)})'
            raise BadValue(
                field="on", value=on, allowed=f"an event type, such as tool_executing, {an_object}, or nothing"
            )
        for name in on:
            if name not in FIELDS:
                raise UnknownName(what="field of on", name=name, known=", ".join(FIELDS))
        _text("f", on["f"], "the name of an operation, an observation or a kind of fault")
        if on.get("actor") is not None:
            _text("actor", on["actor"], "a name such as user-1, or nothing")
        if on.get("phase") not in (None, *PHASES):
            raise BadValue(field="on.phase", value=on["phase"], allowed=f"{', '.join(PHASES)}, or nothing")
        if not isinstance(on.get("value", {}), Mapping):
            raise BadValue(field="on.value", value=on["value"], allowed="an object")
        return Trigger(**on, nth=nth)

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


def _text(name: str, value: Any, allowed: str) -> None:
    if not isinstance(value, str) or not value:
        raise BadValue(field=f"on.{name}", value=value, allowed=allowed)
