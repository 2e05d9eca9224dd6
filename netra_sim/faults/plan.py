"""When which fault strikes what: a plan is data, stored with its run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from netra_sim.faults import kinds
from netra_sim.kernel.errors import BadValue, UnknownName

PROCESS_KINDS = ("kill", "pause", "restart")


@dataclass(frozen=True)
class Step:
    """One fault: `at` seconds after the load begins, for `lease` seconds (None: to the end of the plan).

    `kind` is one of the wire's (`netra_sim.faults.kinds`) on an edge of the run, or kill, pause, restart of a process.
    With `heal=False` it stays when the plan ends: a run that leaves it so has residue.
    """

    kind: str
    target: str
    at: float
    lease: float | None = None
    attributes: Mapping[str, int] = field(default_factory=dict)
    stream: str = "downstream"
    toxicity: float = 1.0
    heal: bool = True

    def __post_init__(self) -> None:
        if self.kind not in (*kinds.KINDS, *PROCESS_KINDS):
            raise UnknownName(what="kind of fault", name=self.kind, known=", ".join((*kinds.KINDS, *PROCESS_KINDS)))
        if not self.target:
            raise BadValue(
                field="target", value=self.target, allowed="an edge (postgres, redis, llm, edge) or a process"
            )
        if self.at < 0:
            raise BadValue(field="at", value=self.at, allowed="seconds, 0 or more")
        if self.lease is not None and self.lease < 0:
            raise BadValue(field="lease", value=self.lease, allowed="seconds, 0 or more, or nothing")
        if self.stream not in ("upstream", "downstream"):
            raise BadValue(field="stream", value=self.stream, allowed="upstream or downstream")
        if not 0 <= self.toxicity <= 1:
            raise BadValue(field="toxicity", value=self.toxicity, allowed="0 to 1")
        self._check_attributes()

    def _check_attributes(self) -> None:
        """A plan is written by hand: here, unlike in the API, an attribute that means nothing is an error."""
        known = [f.name for f in fields(kinds.KINDS[self.kind])] if self.kind in kinds.KINDS else []
        for name in self.attributes:
            if name not in known:
                raise UnknownName(what=f"attribute of {self.kind}", name=name, known=", ".join(known) or "none")
        if self.kind in kinds.KINDS:
            kinds.make(self.kind, self.attributes)

    @property
    def on_process(self) -> bool:
        """Whether it strikes a process, not a wire."""
        return self.kind in PROCESS_KINDS


@dataclass(frozen=True)
class Plan:
    """All faults of a run."""

    steps: Sequence[Step] = ()
    seed: int = 1

    def to_json(self) -> str:
        """The plan as JSON."""
        return json.dumps(
            {"seed": self.seed, "steps": [{**asdict(s), "attributes": dict(s.attributes)} for s in self.steps]}
        )

    @staticmethod
    def from_json(text: str) -> Plan:
        """The plan of a file; BadValue or UnknownName names the field that is wrong and what it takes."""
        try:
            given = json.loads(text)
        except ValueError as error:
            raise BadValue(field="plan", value=text[:60], allowed=f"JSON ({error})") from error
        if not isinstance(given, dict) or not isinstance(given.get("steps"), list):
            raise BadValue(field="plan", value=text[:60], allowed='an object with "steps", a list')
        return Plan([_step(n, step) for n, step in enumerate(given["steps"])], int(given.get("seed", 1)))


def _step(number: int, given: Any) -> Step:
    place, known = f"steps[{number}]", [f.name for f in fields(Step)]
    if not isinstance(given, dict):
        raise BadValue(field=place, value=given, allowed="an object")
    for name in given:
        if name not in known:
            raise UnknownName(what=f"field of {place}", name=name, known=", ".join(known))
    try:
        return Step(**given)
    except TypeError as error:
        raise BadValue(field=place, value=given, allowed=f"kind, target and at, of their types ({error})") from error
