"""What each agent answers when no model does: keywords, and the figures that the tools gave. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from netra_sim.backend.agents.specs import AGENTS, Agent
from netra_sim.backend.agents.sse import Call

INCOMPLETE = "(incomplete: the model broke off here)"
AGAIN = "Ask again in a few minutes for the whole answer."
_KEYWORDS = {
    "cost": ("cost", "bill", "price", "pay", "cheap", "save", "spend", "spent", "budget"),
    "latency": ("latency", "slow", "fast", "second", "wait"),
    "quality": ("quality", "accura", "wrong"),
    "capacity": ("capacity", "traffic", "volume", "reserved"),
}
_BEGUN = re.compile(r'"summary"\s*:\s*"((?:[^"\\]|\\.)+)')


@dataclass(frozen=True, slots=True)
class Facts:
    """What an agent has to go by: the question, what others found, its tools' results, a model's broken-off text."""

    question: str
    known: Mapping[str, Any]
    tools: Mapping[str, Any]
    begun: str = ""


Rule = Callable[[Facts], dict[str, Any]]


def calls(agent: Agent) -> list[Call]:
    """Every tool of the agent, called once: none takes a parameter, so no model is needed to call it."""
    return [Call(f"rule_{agent.name}_{name}", name, "{}") for name in agent.tools]


def category(question: str) -> str:
    """The category that most words of the question point to; cost when none does."""
    words = question.lower()
    return max(_KEYWORDS, key=lambda name: sum(words.count(word) for word in _KEYWORDS[name]))


def begun(text: str) -> str:
    """The part of a report's summary that a broken-off answer holds."""
    found = _BEGUN.search(text)
    try:
        return str(orjson.loads(f'"{found[1]}"')) if found else ""
    except orjson.JSONDecodeError:  # it broke off within an escape
        return ""


def _triage(facts: Facts) -> dict[str, Any]:
    return {"category": category(facts.question), "summary": facts.question[:200]}


def _data_helper(facts: Facts) -> dict[str, Any]:
    days = facts.tools.get("data_inventory", {}).get("days", 0)
    return {
        "missing": [f"Usage of the last 30 days: there are {days} days."],
        "how": "Import the usage log of your model provider, a row for each request.",
    }


def _data(facts: Facts) -> dict[str, Any]:
    total, late = _at(facts.tools, "usage_by_model/total_cost"), _at(facts.tools, "latency_by_model/p95_ms")
    return {
        "findings": [
            f"The workload costs {_figure(total)} USD.",
            f"95 % of its requests take at most {_figure(late)} ms.",
        ]
    }


def _optimization(facts: Facts) -> dict[str, Any]:
    route = facts.tools.get("cheaper_route", {})
    if not route.get("to"):
        return {"reason": "The tools found no cheaper model for this workload."}
    return {"reason": f"Simple requests to {route.get('from')} can run on {route.get('to')}."}


def _actions(facts: Facts) -> dict[str, Any]:
    reason = facts.known.get("optimization", {}).get("reason")
    return {"steps": [f"Begin with this: {reason}" if reason else "Look at the most expensive model first."]}


def _reporting(facts: Facts) -> dict[str, Any]:
    known = facts.known
    words = ["The language model did not answer, so this is only what the figures say."]
    words += known.get("data", {}).get("findings", [])
    if "optimization" in known:
        words.append(f"Possible savings: {_figure(known['optimization']['savings'])} USD.")
    if text := begun(facts.begun):
        words.append(f"What the model had begun to say: {text} … {INCOMPLETE}")
    return {"summary": " ".join(words), "next": AGAIN}


def _figures(agent: Agent, words: Rule) -> Rule:
    """The rule's words beside the figures, which come from the tools whoever writes the words."""
    pointers = {name: spec["x-from"] for name, spec in agent.properties.items() if "x-from" in spec}

    def rule(facts: Facts) -> dict[str, Any]:
        return {**words(facts), **{name: _at(facts.tools, pointer) for name, pointer in pointers.items()}}

    return rule


def _at(data: Any, pointer: str) -> Any:
    for part in pointer.split("/"):
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _figure(value: Any) -> str:
    return f"{value:,.2f}" if isinstance(value, int | float) else "an unknown number of"


_WORDS: dict[str, Rule] = {
    "triage": _triage,
    "data_helper": _data_helper,
    "data": _data,
    "optimization": _optimization,
    "actions": _actions,
    "reporting": _reporting,
}
RULES: Mapping[str, Rule] = {name: _figures(AGENTS[name], words) for name, words in _WORDS.items()}
