"""What each agent's stored result must look like: its keys, their types and their bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from netra_sim.checks.evidence import Facts, at, counted, notable, unknown
from netra_sim.checks.order import ROUTES
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import SUPERVISOR, audited
from netra_sim.kernel.history import History

Field = tuple[str, Callable[[Any], bool]]  # what is allowed, in words; whether a value is


def _number(low: float, high: float = math.inf) -> Field:
    def fits(value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value) and low <= value <= high

    return f"a number of at least {low:,}" if math.isinf(high) else f"a number from {low:,} to {high:,}", fits


def _one_of(*allowed: str) -> Field:
    return f"one of {', '.join(allowed)}", lambda value: value in allowed


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _list(least: int, most: int) -> Field:
    def fits(value: Any) -> bool:
        return isinstance(value, list) and least <= len(value) <= most and all(map(_is_text, value))

    return f"a list of {least} to {most} texts", fits


TEXT: Field = ("a text that is not empty", _is_text)
TEXTS = _list(1, 3)
# Bounds: reference, section 3.
SCHEMAS: dict[str, dict[str, Field]] = {
    "triage": {
        "category": _one_of("cost", "latency", "quality", "capacity"),
        "completeness": _number(0, 1),
        "summary": TEXT,
    },
    "data_helper": {"missing": TEXTS, "how": TEXT},
    "data": {"total_cost": _number(0), "p95_latency_ms": _number(0), "findings": TEXTS},
    "optimization": {"savings": _number(0, 1_000_000), "improvement_percent": _number(-100, 10_000), "reason": TEXT},
    "actions": {"steps": TEXTS},
    "reporting": {"summary": TEXT, "next": TEXT},
}
# The final answer: the report, how it came about, and the figures where there are any.
_ANSWER: dict[str, Field] = {
    **SCHEMAS["reporting"],
    "route": _one_of(*ROUTES),
    "partial": ("true or false", lambda value: isinstance(value, bool)),
    "missing": _list(0, len(SCHEMAS)),
}
_BY: dict[str, Field] = {"by": TEXT}  # whose words the answer has, where it says so


def results_fit_schema(
    *,
    name: str = "results_fit_schema",
    proves: tuple[str, ...] = ("GP-AGENT.5",),
    controls: tuple[str, ...] = (),
) -> Check:
    """Every stored result has exactly its agent's keys, each of its type and within its bounds."""
    expected = "Every stored result has exactly the keys of its agent's schema, with values of its types and bounds."
    return Check(name, expected, proves, _judge, controls)


def misfit(agent: str, result: Any) -> str | None:
    """What is wrong with a stored result of this agent, or None."""
    if not isinstance(result, Mapping):
        return f"the result of {agent} is not an object"
    schema = _answer_schema(result) if agent == SUPERVISOR else SCHEMAS.get(agent)
    if schema is None:
        return f"there is no agent named {agent}"
    if missing := [key for key in schema if key not in result]:
        return f"the result of {agent} lacks {', '.join(missing)}"
    if strange := [key for key in result if key not in schema]:
        return f"the result of {agent} has {', '.join(strange)}, which its schema does not know"
    for key, (allowed, fits) in schema.items():
        if not fits(result[key]):
            return f"{key} of {agent} is {result[key]!r:.60}, not {allowed}"
    return None


def _answer_schema(answer: Mapping[str, Any]) -> dict[str, Field]:
    """An answer with any of the optimization's keys must have them all."""
    figures = SCHEMAS["optimization"] if SCHEMAS["optimization"].keys() & answer.keys() else {}
    return {**_ANSWER, **figures, **(_BY if "by" in answer else {})}


def _judge(history: History) -> Finding:
    reading = audited(history, "checkpoints")
    if reading is None:
        return unknown("The stored results were not read.")
    rows = reading.value.get("rows", ())
    if not rows:
        return unknown("No result was stored.")
    bad: list[Facts] = []
    for row in rows:
        if problem := misfit(row["agent"], row["result"]):
            facts = {"run": row["run_id"], "user": row["user_id"], "agent": row["agent"], "problem": problem}
            bad.append({"t": at(history, reading.t), **facts})
    told = f"{counted(len(rows), 'stored result')} of {counted(len({row['run_id'] for row in rows}), 'run')}"
    if not bad:
        return Finding("pass", f"All {told} fit their agents' schemas.")
    evidence = notable(bad)
    return Finding("fail", f"{len(bad):,} of {told} did not fit: {evidence[0]['problem']}.", evidence)
