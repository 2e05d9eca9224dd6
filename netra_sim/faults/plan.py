"""When which fault strikes what: a plan is data, stored with its run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from netra_sim.faults import kinds, process
from netra_sim.faults.kinds.message import MessageKind
from netra_sim.faults.process import PROCESS_KINDS
from netra_sim.faults.trigger import Trigger
from netra_sim.kernel.errors import BadValue, UnknownName

SCRIPT = "script"  # the model server misbehaves by rules
STREAMS = ("upstream", "downstream", "both")


@dataclass(frozen=True)
class Step:
    """One fault: `at` seconds after the load begins, for `lease` seconds (None: to the end of the plan).

    `kind` is one of the wire's (`netra_sim.faults.kinds`) on an edge of the run, or one of a process
    (`netra_sim.faults.process`), or `script`, which puts rules in force for this run at the model server.
    `label` is its name for checks. `stream` may be `both`, but for kinds on messages: then it strikes both directions;
    left out it is the kind's own. With `on`, `at` counts from the `nth` frame of that type, such as `tool_executing`,
    that users receive, or from the `nth` record of the history that is so: {"f": "chat", "phase": "ok"}
    (`netra_sim.faults.trigger`). Where that never comes, the step never fires.
    With `heal=False` it stays when the plan ends: a run that leaves it so has residue.
    """

    kind: str
    target: str
    at: float
    lease: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    stream: str = ""
    toxicity: float = 1.0
    heal: bool = True
    script: Sequence[Mapping[str, Any]] = ()
    label: str = ""
    on: str | Mapping[str, Any] | None = None
    nth: int = 1

    def __post_init__(self) -> None:
        """UnknownName or BadValue names the field that is wrong and what it takes."""
        known = (*kinds.KINDS, *PROCESS_KINDS, SCRIPT)
        if self.kind not in known:
            raise UnknownName(what="kind of fault", name=self.kind, known=", ".join(known))
        named = isinstance(self.target, str) and self.target != ""
        _must(named, "target", self.target, "an edge (postgres, redis, clickhouse, llm, edge, edge-2) or a process")
        _must(_number(self.at) and self.at >= 0, "at", self.at, "seconds, 0 or more")
        if self.stream == "":
            object.__setattr__(self, "stream", kinds.default_stream(self.kind))
        leased = self.lease is None or (_number(self.lease) and self.lease >= 0)
        _must(leased, "lease", self.lease, "seconds, 0 or more, or nothing")
        _must(self.stream in STREAMS, "stream", self.stream, "upstream or downstream, or both")
        _must(_number(self.toxicity) and 0 <= self.toxicity <= 1, "toxicity", self.toxicity, "0 to 1")
        _must(isinstance(self.heal, bool), "heal", self.heal, "true or false")
        whole = isinstance(self.nth, int) and not isinstance(self.nth, bool) and self.nth >= 1
        _must(whole and (self.nth == 1 or self.on is not None), "nth", self.nth, "1 or more, for a step with `on`")
        if self.on is not None:
            Trigger.parse(self.on, self.nth)
        _must(isinstance(self.attributes, Mapping), "attributes", self.attributes, "an object")
        _must(isinstance(self.label, str), "label", self.label, "a name")
        self._check_attributes()
        self._check_script()

    def _check_attributes(self) -> None:
        """A plan is written by hand: here, unlike in the API, an attribute that means nothing is an error."""
        if self.on_process:
            process.check(self.kind, self.target, self.attributes)
            return
        known = [f.name for f in fields(kinds.KINDS[self.kind])] if self.kind in kinds.KINDS else []
        for name in self.attributes:
            if name not in known:
                raise UnknownName(what=f"attribute of {self.kind}", name=name, known=", ".join(known) or "none")
        if self.kind in kinds.KINDS:
            kinds.make(self.kind, self.attributes)
            _must(not (self.protocols and self.stream == "both"), "stream", self.stream, "upstream or downstream")

    def _check_script(self) -> None:
        """Rules and the kind `script` belong together; what a rule may say is the model server's to check."""
        allowed = 'rules {"match": {…}, "do": {…}}'
        listed = isinstance(self.script, Sequence) and not isinstance(self.script, str)
        sound = listed and all(isinstance(r, Mapping) and isinstance(r.get("do"), Mapping) for r in self.script)
        _must(sound, "script", self.script, f"a list of {allowed}")
        object.__setattr__(self, "script", tuple(self.script))
        if self.kind == SCRIPT:
            _must(self.target == "llm", "target", self.target, "llm, for a script")
            _must(bool(self.script), "script", [], f"at least one of the {allowed}")
        else:
            _must(not self.script, "script", self.script, f"nothing for {self.kind}")

    @property
    def on_process(self) -> bool:
        """Whether it strikes a process, not a wire."""
        return self.kind in PROCESS_KINDS

    @property
    def protocols(self) -> tuple[str, ...]:
        """Of a fault on messages those that it knows: its edge must speak one of them. Of any other none."""
        kind = kinds.KINDS.get(self.kind)
        return kind.protocols if kind is not None and issubclass(kind, MessageKind) else ()

    @property
    def trigger(self) -> Trigger | None:
        """What it waits for before its time counts."""
        return None if self.on is None else Trigger.parse(self.on, self.nth)


@dataclass(frozen=True)
class Plan:
    """All faults of a run."""

    steps: Sequence[Step] = ()
    seed: int = 1

    def __post_init__(self) -> None:
        """BadValue when the seed is no integer."""
        _must(isinstance(self.seed, int) and not isinstance(self.seed, bool), "seed", self.seed, "an integer")
        object.__setattr__(self, "steps", tuple(self.steps))  # equal to what comes back from JSON

    def to_json(self) -> str:
        """The plan as JSON."""
        return json.dumps({"seed": self.seed, "steps": [_plain(asdict(s)) for s in self.steps]}, indent=2)

    def save(self, path: Path) -> None:
        """Store it as JSON."""
        path.write_text(self.to_json() + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> Plan:
        """The plan stored there; BadValue or UnknownName names the field that is wrong and what it takes."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadValue(field="plan", value=str(path), allowed=f"a file of JSON ({error})") from error
        return Plan.from_json(text)

    @staticmethod
    def from_json(text: str) -> Plan:
        """The plan of a file; BadValue or UnknownName names the field that is wrong and what it takes."""
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadValue(field="plan", value=text[:60], allowed=f"JSON ({error})") from error
        if not isinstance(given, dict) or not isinstance(given.get("steps"), list):
            raise BadValue(field="plan", value=text[:60], allowed='an object with "steps", a list')
        _known(given, "the plan", Plan)
        return Plan([_step(n, step) for n, step in enumerate(given["steps"])], given.get("seed", 1))


def _step(number: int, given: Any) -> Step:
    place = f"steps[{number}]"
    _must(isinstance(given, dict), place, given, "an object")
    _known(given, place, Step)
    for name in ("kind", "target", "at"):
        _must(name in given, f"{place}.{name}", None, "a value: it cannot be left out")
    try:
        return Step(**given)
    except BadValue as error:
        raise BadValue(**{**error.facts, "field": f"{place}.{error.facts['field']}"}) from error
    except UnknownName as error:
        raise UnknownName(**{**error.facts, "what": f"{error.facts['what']} ({place})"}) from error


def _plain(value: Any) -> Any:
    """Whatever a caller took for an object or a list, as JSON has it."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _known(given: Mapping[str, Any], place: str, of: type[Step] | type[Plan]) -> None:
    known = [f.name for f in fields(of)]
    for name in given:
        if name not in known:
            raise UnknownName(what=f"field of {place}", name=name, known=", ".join(known))


def _must(right: bool, field: str, value: Any, allowed: str) -> None:
    if not right:
        raise BadValue(field=field, value=value, allowed=allowed)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
