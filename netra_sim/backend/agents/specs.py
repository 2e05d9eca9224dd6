"""The agents: what each is asked, which tools it has, what its answer must look like; and the routes. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Route = dict[str, tuple[str, ...]]  # agent -> the agents it waits for

# By how complete the tenant's data is (reference, section 3). data and data_helper do not need each other.
ROUTES: dict[str, Route] = {
    "sufficient": {"data": (), "optimization": ("data",), "actions": ("optimization",), "reporting": ("actions",)},
    "partial": {"data_helper": (), "data": (), "reporting": ("data_helper", "data")},
    "insufficient": {"data_helper": (), "reporting": ("data_helper",)},
}


def route_for(completeness: float | None) -> str:
    """The route's name for a data completeness from 0 to 1; unknown completeness asks for data."""
    if completeness is None or completeness < 0.4:
        return "insufficient"
    return "sufficient" if completeness >= 0.8 else "partial"


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent; `properties` is the JSON schema of its answer, figures in it come from tools (`x-from`)."""

    name: str
    prompt: str
    properties: dict[str, dict[str, Any]]
    tools: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        """The answer's JSON schema."""
        return {
            "type": "object",
            "properties": self.properties,
            "required": list(self.properties),
            "additionalProperties": False,
        }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _texts(description: str) -> dict[str, Any]:
    return {"type": "array", "items": _text(description), "minItems": 1, "maxItems": 3}


def _number(pointer: str, low: float, high: float) -> dict[str, Any]:
    return {"type": "number", "minimum": low, "maximum": high, "x-from": pointer}


AGENTS: dict[str, Agent] = {
    a.name: a
    for a in (
        Agent(
            "triage",
            "Classify the user's question about AI workload cost and say how complete the data behind it is.",
            {
                "category": {"type": "string", "enum": ["cost", "latency", "quality", "capacity"]},
                "completeness": _number("data_inventory/completeness", 0, 1),
                "summary": _text("The question in one sentence"),
            },
            ("data_inventory",),
        ),
        Agent(
            "data_helper",
            "Say which data is missing for a full answer and how the user can provide it.",
            {"missing": _texts("A kind of data that is missing"), "how": _text("How to provide it")},
            ("data_inventory",),
        ),
        Agent(
            "data",
            "Describe the workload: what it costs, by which models, and how fast they answer.",
            {
                "total_cost": _number("usage_by_model/total_cost", 0, 1e9),
                "p95_latency_ms": _number("latency_by_model/p95_ms", 0, 1e7),
                "findings": _texts("A finding about cost or latency"),
            },
            ("usage_by_model", "latency_by_model"),
        ),
        Agent(
            "optimization",
            "Say which change of model or routing saves most, and how much.",
            {
                "savings": _number("cheaper_route/savings", 0, 1_000_000),
                "improvement_percent": _number("cheaper_route/percent", -100, 10_000),
                "reason": _text("Why this change saves cost"),
            },
            ("cheaper_route",),
        ),
        Agent("actions", "List the steps that bring the saving about.", {"steps": _texts("A step to take")}),
        Agent(
            "reporting",
            "Answer the user's question from what the other agents found; say what is missing.",
            {"summary": _text("The answer for the user"), "next": _text("What to do next")},
        ),
    )
}
