"""One cell as a toxic: which messages it strikes, and how. Pure."""

from __future__ import annotations

from typing import Any

from netra_sim.scenarios.explore.cells import Cell

# By the kind of exchange: what begins it, and what tells that it was done. The answer's loss means: it was done, and
# nobody was told. Of Postgres that is what ends an execution, which it sends with ReadyForQuery, after the commit.
ASKS: dict[str, list[str]] = {"statement": ["Bind", "Query"], "command": ["command"], "request": ["request"]}
TELLS = {
    "statement": ["CommandComplete", "PortalSuspended"],
    "command": ["reply"],
    "request": ["response"],
    "event": ["event"],
}
FRAME = ["text"]

Attributes = dict[str, Any]
REFUSALS: dict[str, tuple[str, Attributes]] = {
    "statement": ("pg_error", {"sqlstate": "57P01", "message": "terminating connection due to administrator command"}),
    "command": ("redis_error", {"text": "LOADING Redis is loading the dataset in memory"}),
    "request": ("cut", {"when": "before", "how": "close"}),
}
ERRORS: dict[str, tuple[str, Attributes]] = {
    "statement": ("pg_error", {"sqlstate": "40001", "message": "could not serialize access"}),
    "command": ("redis_error", {"text": "OOM command not allowed when used memory > 'maxmemory'."}),
    "request": ("http_error", {"status": 503, "body": "{}", "headers": {"content-type": "application/json"}}),
    "heard": ("ws_close", {"code": 1011, "reason": "injected"}),
}


def toxic(cell: Cell, name: str, past_ms: int = 1000) -> dict[str, Any]:
    """What the control API takes; a user's own line stalls for `past_ms`, anything else for as long as it is set."""
    type_, stream, types, attributes = _how(cell)
    if type_ == "stall" and cell.exchange.kind in ("said", "heard"):
        attributes = {"timeout": past_ms}
    match: dict[str, Any] = {"type": types, **({"text": cell.exchange.pattern} if cell.exchange.pattern else {})}
    if cell.fault != "refuse":
        match["nth"] = cell.exchange.nth
    return {"name": name, "type": type_, "stream": stream, "attributes": {"match": match, **attributes}}


def _how(cell: Cell) -> tuple[str, str, list[str], Attributes]:
    kind, fault = cell.exchange.kind, cell.fault
    if kind in ("said", "heard"):
        return _frame(kind, fault)
    if fault in ("refuse", "error"):
        type_, attributes = (REFUSALS if fault == "refuse" else ERRORS)[kind]
        return type_, "upstream", ASKS[kind], attributes
    if fault == "corrupt":
        done = ("redis_value", {"how": "corrupted"}) if kind == "command" else ("corrupt_message", {"every": 7})
        return done[0], "downstream", TELLS[kind], done[1]
    if fault == "cut_before" and kind != "event":
        return "cut", "upstream", ASKS[kind], {"when": "before"}
    if fault == "stall":
        return "stall", "downstream", TELLS[kind], {}
    return "cut", "downstream", TELLS[kind], {"when": "before"}


def _frame(kind: str, fault: str) -> tuple[str, str, list[str], Attributes]:
    stream = "upstream" if kind == "said" else "downstream"
    if fault == "error":
        type_, attributes = ERRORS[kind]
        return type_, stream, FRAME, attributes
    if fault == "stall":
        return "stall", stream, FRAME, {}
    return "cut", stream, FRAME, {"when": "before" if fault == "cut_before" else "after"}
