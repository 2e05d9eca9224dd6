"""The agents' tools: questions about one tenant's workload, answered by ClickHouse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from netra_sim.backend.reliability.together import together
from netra_sim.backend.store.columns import Columns

Tool = Callable[[Columns, str], Awaitable[dict[str, Any]]]
FULL_DAYS = 30
NANOS = 1e9  # in a dollar
SIMPLE = 500  # tokens in and out up to which the cheaper model's answers are as good

# Every question is bounded to the tenant by a bound value.
_INVENTORY = """
SELECT uniqExact(toDate(at)) AS days, arraySort(groupUniqArray(model)) AS models,
    arraySort(groupUniqArray(project)) AS projects
FROM workload WHERE user_id = {user:UUID}
"""
_USAGE = """
SELECT model, any(project) AS project, count() AS requests, sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out,
    sum(cost_nanos) AS cost_nanos
FROM workload WHERE user_id = {user:UUID} GROUP BY model ORDER BY model
"""
_LATENCY = """
SELECT if(grouping(model) = 0, model, '') AS name, quantilesExact(0.5, 0.95, 0.99)(latency_ms) AS ms, count() AS n
FROM workload WHERE user_id = {user:UUID} GROUP BY GROUPING SETS ((model), ()) ORDER BY name
"""
_SIMPLE = """
SELECT model, sum(cost_nanos) AS cost_nanos, sumIf(tokens_in, tokens_in + tokens_out <= {simple:UInt32}) AS simple_in,
    sumIf(tokens_out, tokens_in + tokens_out <= {simple:UInt32}) AS simple_out
FROM workload WHERE user_id = {user:UUID} GROUP BY model ORDER BY model
"""
_PRICES = "SELECT model, input_nanos, output_nanos, cheaper FROM prices"


async def data_inventory(columns: Columns, user_id: str) -> dict[str, Any]:
    """Which data there is: days, models, projects, and the share of the last 30 days that it covers."""
    (row,) = await columns.rows(_INVENTORY, user=user_id)
    days = int(row["days"])
    completeness = round(min(1.0, days / FULL_DAYS), 4)
    return {
        "days": days, "models": list(row["models"]), "projects": list(row["projects"]), "completeness": completeness
    }  # fmt: skip


async def usage_by_model(columns: Columns, user_id: str) -> dict[str, Any]:
    """Requests, tokens and cost (USD) by model, and the total."""
    rows = await columns.rows(_USAGE, user=user_id)
    total = sum(row["cost_nanos"] for row in rows)
    models = [{**row, "cost": row["cost_nanos"] / NANOS} for row in rows]
    return {"models": models, "total_cost": total / NANOS}


async def latency_by_model(columns: Columns, user_id: str) -> dict[str, Any]:
    """Latency in ms by model and over all: median, p95 and p99, each the nearest rank."""
    rows = await columns.rows(_LATENCY, user=user_id)
    told = {row["name"]: dict(zip(("p50", "p95", "p99"), map(int, row["ms"]), strict=True)) for row in rows}
    whole = told.pop("", {"p50": 0, "p95": 0, "p99": 0})
    return {"models": told, "p95_ms": whole["p95"], "all": whole}


async def cheaper_route(columns: Columns, user_id: str) -> dict[str, Any]:
    """What moving the simple requests of each model to the next cheaper one would save, in USD and percent."""
    rows, prices = await together(
        columns.rows(_SIMPLE, user=user_id, simple=SIMPLE), columns.rows(_PRICES)
    )  # fmt: skip
    of = {price["model"]: price for price in prices}
    saved = {
        row["model"]: sum(
            row[f"simple_{way}"] * (of[row["model"]][f"{way}put_nanos"] - of[cheaper][f"{way}put_nanos"])
            for way in ("in", "out")
        )
        for row in rows
        if (cheaper := of[row["model"]]["cheaper"])
    }
    total = sum(row["cost_nanos"] for row in rows)
    best = max(saved, key=lambda model: saved[model], default=None)
    return {
        "savings": sum(saved.values()) / NANOS,
        "percent": round(100 * sum(saved.values()) / total, 4) if total else 0.0,
        "from": best,
        "to": of[best]["cheaper"] if best else None,
    }


TOOLS: Mapping[str, Tool] = {
    "data_inventory": data_inventory,
    "usage_by_model": usage_by_model,
    "latency_by_model": latency_by_model,
    "cheaper_route": cheaper_route,
}


def offered(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The tools in the form that a chat completion request offers them; none of ours takes a parameter."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": (TOOLS[name].__doc__ or "").strip(),
                "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
            },
        }
        for name in names
    ]
