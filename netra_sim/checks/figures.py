"""The figures that users are told: each must follow from the tenant's own log, summed up apart from the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netra_sim.checks.evidence import Facts, at, counted, notable, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import SUPERVISOR, audited, audited_rows, workloads
from netra_sim.kernel.history import History

NANOS = 1e9  # in a dollar
# How far a figure may be off: money by the store's rounding (USD), a percentage by its own, milliseconds not at all.
TOLERANCE = {"total_cost": 1e-6, "p95_latency_ms": 0.0, "savings": 1e-6, "improvement_percent": 1e-3}
STATED = {"data": ("total_cost", "p95_latency_ms"), "optimization": ("savings", "improvement_percent")}


def figures_recomputed(
    *,
    name: str = "figures_recomputed",
    proves: tuple[str, ...] = ("GP-AGENT.23",),
    controls: tuple[str, ...] = (),
) -> Check:
    """Cost, latency, savings and improvement in every stored result equal those recomputed from the workload log."""
    expected = (
        "Every stated cost, p95 latency, saving and improvement equals its recomputation from the tenant's log "
        "(within 0.000001 USD and 0.001 %), and no whole answer lacks its figures."
    )
    return Check(name, expected, proves, _judge, controls)


def recomputed(workload: Mapping[str, Any]) -> dict[str, float]:
    """Cost and savings in USD, p95 in ms and improvement in percent of one tenant; all 0 for one without a log."""
    models, prices = workload.get("models", {}), workload.get("prices", {})
    cost = sum(sums["cost_nanos"] for sums in models.values())
    saved = 0
    for model, cheaper in workload.get("cheaper", {}).items():
        if model in models:
            (now_in, now_out), (then_in, then_out) = prices[model], prices[cheaper]
            simple_in, simple_out = models[model]["simple_in"], models[model]["simple_out"]
            saved += simple_in * (now_in - then_in) + simple_out * (now_out - then_out)
    percent = 100 * saved / cost if cost else 0.0
    p95 = workload.get("p95_ms", 0)
    figures = (cost / NANOS, p95, saved / NANOS, percent)
    return dict(zip(TOLERANCE, figures, strict=True))


def _judge(history: History) -> Finding:
    reading, tenants, runs = audited(history, "checkpoints"), workloads(history), audited_rows(history, "runs")
    if reading is None:
        return unknown("The stored results were not read.")
    if not tenants:
        return unknown("No tenant's log was summed up.")
    if runs is None:
        return unknown("The runs table was not read.")
    rows = reading.value.get("rows", ())
    right = {user: recomputed(tenant) for user, tenant in tenants.items()}
    stated = [(row, name) for row in rows for name in _names(row)]
    problems = [
        *_miscounted(tenants),
        *(facts for row, name in stated for facts in _off(row, name, right.get(str(row["user_id"]), recomputed({})))),
        *_lacking(rows, runs),
    ]
    bad = [{"t": at(history, reading.t), **facts} for facts in problems]
    told = f"{counted(len(stated), 'stated figure')} of {counted(len({row['run_id'] for row, _ in stated}), 'run')}"
    if bad:
        evidence = notable(bad)
        return Finding("fail", f"{counted(len(bad), 'fault')} in {told}: {evidence[0]['problem']}.", evidence)
    if not stated:
        return unknown("No stored result states a figure.")
    return Finding("pass", f"All {told} equal their recomputation from the log.")


def _names(row: Mapping[str, Any]) -> Sequence[str]:
    """The figures that a result must state; the final answer, those that it does state."""
    if row["agent"] == SUPERVISOR:
        return [name for name in TOLERANCE if name in row["result"]]
    return STATED.get(row["agent"], ())


def _off(row: Mapping[str, Any], name: str, right: Mapping[str, float]) -> Iterator[Facts]:
    said, log = row["result"].get(name), right[name]
    if isinstance(said, int | float) and not isinstance(said, bool) and abs(said - log) <= TOLERANCE[name]:
        return
    problem = f"{row['agent']} says {name} {said!r}, the log gives {log:.9g}"
    yield {"run": row["run_id"], "agent": row["agent"], "said": said, "log": log, "problem": problem}


def _miscounted(tenants: Mapping[str, Mapping[str, Any]]) -> Iterator[Facts]:
    """Models whose cost in the log is not that of their tokens."""
    for user, tenant in tenants.items():
        for model, sums in tenant["models"].items():
            input_nanos, output_nanos = tenant["prices"][model]
            cost = sums["tokens_in"] * input_nanos + sums["tokens_out"] * output_nanos
            if cost != sums["cost_nanos"]:
                problem = f"the log says {model} cost {sums['cost_nanos']} nano-dollars, its tokens cost {cost}"
                yield {"user": user, "model": model, "problem": problem}


def _lacking(rows: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]) -> Iterator[Facts]:
    """Whole answers without their figures, unless they say whose are missing."""
    results = {(row["run_id"], row["agent"]): row["result"] for row in rows}
    for run in runs:
        if run["status"] != "completed" or run.get("route") != "sufficient":
            continue
        answer = results.get((run["run_id"], SUPERVISOR), {})
        for agent, of in (("data", results.get((run["run_id"], "data"), {})), ("optimization", answer)):
            lacks = [name for name in STATED[agent] if name not in of]
            if lacks and agent not in answer.get("missing", ()):
                problem = f"run {run['run_id']} lacks {' and '.join(lacks)} and does not say that {agent} is missing"
                yield {"run": run["run_id"], "agent": agent, "problem": problem}
