"""What a scenario is: a frozen spec. Nothing in it runs by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from netra_sim.checks.verdict import Check
from netra_sim.faults.plan import Step
from netra_sim.kernel.errors import BadValue, UnknownName
from netra_sim.users.persona import Profile

WELCOME = "system_message"  # the first frame on a socket: after the nth, n users are in


class Parameters(BaseModel):
    """What every scenario takes; a scenario adds its own. Seconds are real ones, after `time_scale`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: int = Field(8, ge=2, le=5000, description="simulated users")
    messages: int = Field(2, ge=1, le=100, description="messages of each user")
    window: float = Field(1.0, ge=0, le=600, description="seconds in which the users arrive")
    all_controls: bool = Field(False, description="whether every control is run, not those of a smoke run alone")
    rows: int = Field(2000, ge=100, le=1_000_000, description="calls in each tenant's workload log")
    seed: int = Field(7, ge=0, le=2**32, description="seed of every random stream")
    time_scale: float = Field(0.1, gt=0, le=1, description="factor of every timeout, pause, think time and LLM latency")

    def scaled(self, seconds: float) -> float:
        """A limit of the reference at this time scale."""
        return seconds * self.time_scale

    @classmethod
    def checked(cls, given: dict[str, Any]) -> Self:
        """The parameters; UnknownName or BadValue names the first that is wrong."""
        for name in given:
            if name not in cls.model_fields:
                raise UnknownName(what="parameter", name=name, known=", ".join(sorted(cls.model_fields)))
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            field_ = ".".join(map(str, first["loc"]))
            raise BadValue(field=field_, value=first.get("input"), allowed=cls.allowed(field_)) from error

    @classmethod
    def allowed(cls, name: str) -> str:
        """What a parameter takes, in words."""
        info = cls.model_fields.get(name)
        if info is None:
            return "another value"
        limits = [
            f"{word} {getattr(constraint, key)}"
            for key, word in _WORDS.items()
            for constraint in info.metadata
            if getattr(constraint, key, None) is not None
        ]
        kind = getattr(info.annotation, "__name__", str(info.annotation))
        return f"{kind}, {', '.join(limits)} ({info.description})"


_WORDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


@dataclass(frozen=True)
class Control:
    """The same run with a protection removed or a known defect put in; `fails` names the checks it must fail.

    `settings` are variables of the workers (`NETRA_HEARTBEAT`), `client` fields of the users' settings, set otherwise.
    `at_most` caps parameters (`users`): what breaks with few breaks with many.
    """

    name: str
    why: str
    fails: tuple[str, ...]
    without: tuple[str, ...] = ()
    defect: str = ""
    steps: tuple[Step, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    client: Mapping[str, Any] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """What was changed, for the result."""
        faults = {f"{s.kind} on {s.target}": dict(s.attributes) for s in self.steps}
        return {
            "name": self.name,
            "without": list(self.without) or None,
            "defect": self.defect or None,
            "setting": {**faults, **self.settings, **{f"client {k}": v for k, v in self.client.items()}} or None,
            "why": self.why,
        }


@dataclass(frozen=True)
class Scenario:
    """One question about the platform, and everything needed to answer it.

    `lasts` is how long the load may last, in seconds, from the event that a step waits for if one does: users who are
    not done by then are sent home. `smoke` names the
    controls that every run has, the others are for a full one; `full` holds the further parameter sets of a full sweep.
    A `cold` scenario begins with nothing running, one that is `exclusive` needs the servers for itself. `at_most`
    caps parameters of all controls. With two `entrances`, even-numbered users come in by `edge-2`.
    `settings` and `client` are as in a control, for the protected run too.
    """

    name: str
    title: str
    question: str
    hypothesis: str
    consequence: str
    parameters: type[Parameters]
    profile: Callable[[Any], Profile]
    checks: Callable[[Any], tuple[Check, ...]]
    controls: Callable[[Any], tuple[Control, ...]]
    smoke: tuple[str, ...]
    plan: Callable[[Any], tuple[Step, ...]] = field(default=lambda _: ())
    lasts: Callable[[Any], float] = field(default=lambda p: p.window + p.messages * p.scaled(100.0))
    runbook: tuple[str, ...] = ()
    not_proven: tuple[str, ...] = ()
    exclusive: bool = False
    cold: bool = False
    at_most: Mapping[str, float] = field(default_factory=dict)
    entrances: int = 1
    settings: Callable[[Any], Mapping[str, str]] = field(default=lambda _: {})
    client: Callable[[Any], Mapping[str, Any]] = field(default=lambda _: {})
    full: tuple[Mapping[str, Any], ...] = ()

    def variant(self, parameters: Parameters) -> str:
        """The parameter set's name: `smoke` for the defaults, else what differs, such as `users=100,seed=8`."""
        usual = self.parameters()
        told = [f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in parameters if v != getattr(usual, k)]
        return ",".join(told) or "smoke"

    @property
    def sets(self) -> list[str]:
        """The names of its own parameter sets: the usual one and those of a full sweep."""
        chosen = ({}, {"all_controls": True}, *self.full)
        return [self.variant(self.parameters.model_validate(values)) for values in chosen]

    @property
    def side_by_side(self) -> int:
        """How many of its controls a lab takes at once."""
        return 1 if self.exclusive else 3

    @property
    def group(self) -> str:
        """The first part of the name: golden, chaos, ..."""
        return self.name.split("/")[0]

    def given(self, parameters: Parameters, control: Control) -> Parameters:
        """The parameters of a control, none above its cap."""
        caps = {**self.at_most, **control.at_most}
        return parameters.model_copy(update={name: min(getattr(parameters, name), cap) for name, cap in caps.items()})

    def runs(self, parameters: Parameters) -> tuple[Control, ...]:
        """The controls that a run with these parameters has, each as made for its own."""
        wanted = [c for c in self.controls(parameters) if c.name in self.smoke or parameters.all_controls]
        made = {c.name: self.controls(self.given(parameters, c)) for c in wanted}
        return tuple(c for name, controls in made.items() for c in controls if c.name == name)

    def judges(self, parameters: Parameters) -> tuple[Check, ...]:
        """The checks, each with the controls that must make it fail."""
        convicts: dict[str, list[str]] = {}
        for control in self.controls(parameters):
            for check in control.fails:
                convicts.setdefault(check, []).append(control.name)
        return tuple(replace(c, controls=tuple(convicts.get(c.name, ()))) for c in self.checks(parameters))
