"""The agents' tools: questions about one tenant's workload, answered by Postgres."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from netra_sim.backend.store.database import Database

Tool = Callable[[Database, str], Awaitable[dict[str, Any]]]
FULL_DAYS = 30

# USD for a million tokens, and the next cheaper model with answers as good for simple requests.
PRICES: dict[str, float] = {"netra-large": 20.0, "netra-medium": 6.0, "netra-small": 1.5}
CHEAPER: dict[str, str] = {"netra-large": "netra-medium", "netra-medium": "netra-small"}
SIMPLE_SHARE = 0.4  # the part of requests that the cheaper model can take over


async def data_inventory(database: Database, user_id: str) -> dict[str, Any]:
    """Which data there is: days, models, projects, and the share of the last 30 days that it covers."""
    sql = (
        "SELECT count(DISTINCT day) AS days, array_agg(DISTINCT model) AS models, array_agg(DISTINCT project) AS "
        "projects FROM workload WHERE user_id = $1"
    )
    row = await database.fetchrow(sql, user_id)
    days = int(row["days"]) if row else 0
    return {
        "days": days,
        "models": sorted(row["models"] or []) if row else [],
        "projects": sorted(row["projects"] or []) if row else [],
        "completeness": round(min(1.0, days / FULL_DAYS), 4),
    }


async def usage_by_model(database: Database, user_id: str) -> dict[str, Any]:
    """Requests, tokens and cost (USD) by model, and the total."""
    sql = (
        "SELECT model, min(project) AS project, sum(requests)::bigint AS requests, sum(tokens)::bigint AS tokens, "
        "sum(cost) AS cost FROM workload WHERE user_id = $1 GROUP BY model ORDER BY model"
    )
    rows = await database.fetch(sql, user_id)
    models = [{**row, "cost": float(row["cost"])} for row in map(dict, rows)]
    return {"models": models, "total_cost": float(sum(row["cost"] for row in rows))}


async def latency_by_model(database: Database, user_id: str) -> dict[str, Any]:
    """Mean latency in ms by model, weighted by requests, and over all."""
    sql = (
        "SELECT model, sum(latency_ms * requests) / nullif(sum(requests), 0) AS mean_ms, sum(requests)::bigint AS n "
        "FROM workload WHERE user_id = $1 GROUP BY model ORDER BY model"
    )
    rows = await database.fetch(sql, user_id)
    total = sum(row["n"] for row in rows)
    mean = sum((row["mean_ms"] or 0.0) * row["n"] for row in rows) / total if total else 0.0
    return {"models": {row["model"]: row["mean_ms"] for row in rows}, "mean_ms": mean}


async def cheaper_route(database: Database, user_id: str) -> dict[str, Any]:
    """What moving the simple requests of each model to the next cheaper one would save, in USD and percent."""
    usage = await usage_by_model(database, user_id)
    saved = {}
    for row in usage["models"]:
        model = row["model"]
        if model in CHEAPER:
            saved[model] = row["cost"] * SIMPLE_SHARE * (1 - PRICES[CHEAPER[model]] / PRICES[model])
    savings, total = sum(saved.values()), usage["total_cost"]
    best = max(saved, key=lambda m: saved[m], default=None)
    return {
        "savings": round(savings, 6),
        "percent": round(100 * savings / total, 4) if total else 0.0,
        "from": best,
        "to": CHEAPER[best] if best else None,
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
