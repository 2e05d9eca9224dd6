"""results.json: what other programs read of the latest runs, schema 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from netra_sim.reports.runs import Run

SCHEMA = 1
_FAULT = ("kind", "target", "planned", "fired", "healed", "hits")


def results(runs: Iterable[Run], covered: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The whole document: runs, and the catalogue's coverage by line."""
    runs = list(runs)
    ended = [run.result.data for run in runs if run.result]
    newest = max(ended, key=lambda data: str(data["started"]), default=None)
    return {
        "schema": SCHEMA,
        "commit": newest["commit"] if newest else None,
        "started": min((run.started for run in runs), default=None),
        "runs": [_run(run) for run in runs],
        "coverage": dict(covered),
    }


def _run(run: Run) -> dict[str, Any]:
    if run.result is None:
        nothing: dict[str, Any] = {"checks": [], "faults": [], "controls": [], "servers": {}, "parameters": {}}
        missing = {"seconds": None, "time_scale": None}
        return {
            "scenario": run.scenario,
            "variant": run.variant,
            "seed": run.seed,
            "verdict": "aborted",
            **nothing,
            **missing,
        }
    data = run.result.data
    kept = ("scenario", "parameters", "seed", "verdict", "seconds", "time_scale", "servers")
    return {
        **{key: data[key] for key in kept},
        "variant": run.variant,
        "checks": [_check(check) for check in data["checks"]],
        "faults": [{key: fault[key] for key in _FAULT} for fault in data["faults"]],
        "controls": [_control(control) for control in data["controls"]],
    }


def _check(check: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: check[key] for key in ("expected", "observed", "proves")}
    return {"name": check["check"], "verdict": check["outcome"], **kept}


def _control(control: Mapping[str, Any]) -> dict[str, Any]:
    how = {key: control[key] for key in ("without", "defect", "setting") if control.get(key) is not None}
    return {"name": control["name"], **how, **{key: control[key] for key in ("verdict", "convicts", "failed")}}
