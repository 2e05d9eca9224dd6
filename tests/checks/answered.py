"""A history with answers in it: three tenants, one for each amount of data, and a fourth whose triage failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from netra_sim.kernel.history import History
from tests.checks.story import Story, about, script, told, user, value_of

Row = dict[str, Any]
PRICES = {"large": [10_000, 30_000], "medium": [3_000, 9_000], "small": [750, 2_250]}
CHEAPER = {"large": "medium", "medium": "small"}
# Tokens in and out, of them in simple requests; the cost is 55, 39 and 3.75 USD.
MODELS = {
    "large": {"requests": 2000, "tokens_in": 1_000_000, "tokens_out": 1_500_000, "cost_nanos": 55_000_000_000,
              "simple_in": 200_000, "simple_out": 100_000},
    "medium": {"requests": 3000, "tokens_in": 1_000_000, "tokens_out": 4_000_000, "cost_nanos": 39_000_000_000,
               "simple_in": 400_000, "simple_out": 200_000},
    "small": {"requests": 5000, "tokens_in": 2_000_000, "tokens_out": 1_000_000, "cost_nanos": 3_750_000_000,
              "simple_in": 900_000, "simple_out": 500_000},
}  # fmt: skip
COST = 97.75
SAVINGS = 5.75  # large: 200,000 * 7,000 + 100,000 * 21,000; medium: 400,000 * 2,250 + 200,000 * 6,750
ASKED = {"user-1": ("r-1", "full"), "user-2": ("r-2", "partial"), "user-3": ("r-3", "none"), "user-4": ("r-4", "full")}
TAKEN = {"r-1": "sufficient", "r-2": "partial", "r-3": "insufficient", "r-4": "insufficient"}

OPTIMIZATION = {"savings": SAVINGS, "improvement_percent": 5.8824, "reason": "Simple requests fit the medium model."}
REPORT = {"summary": "Move simple requests.", "next": "Start with one project."}
RESULTS: dict[str, Row] = {
    "triage": {"category": "cost", "completeness": 1, "summary": "What can be saved?"},
    "data_helper": {"missing": ["Fifteen days of usage."], "how": "Import the log."},
    "data": {"total_cost": COST, "p95_latency_ms": 2150, "findings": ["Half the cost is the large model's."]},
    "optimization": OPTIMIZATION,
    "actions": {"steps": ["Route simple requests.", "Measure quality."]},
    "reporting": REPORT,
}
AGENTS = {
    "sufficient": ("triage", "data", "optimization", "actions", "reporting"),
    "partial": ("triage", "data_helper", "data", "reporting"),
    "insufficient": ("triage", "data_helper", "reporting"),
}


def answered() -> History:
    """Everybody asks, is answered and reads his thread; then the auditor looks."""
    story = Story()
    for actor, (run, _) in ASKED.items():
        story.login(actor).connect(actor).send(actor, run)
        for number, (type_, agent, tool, call) in enumerate(_script(run), start=1):
            story.event(actor, run, number, type_, agent, tool, call)
        story.op(actor, "chat", told={"run_id": run, "status": "completed"}, message_id=f"m-{run}", took=0)
        page = {"status": 200, "messages": 2, "runs": [run], "more": False}
        story.op(actor, "history", told=page, thread_id="t-1", deadline_s=1.0)
    story.audit()
    for actor, (_, data) in ASKED.items():
        sums = {"prices": PRICES, "cheaper": CHEAPER, "models": MODELS, "p95_ms": 2150, "days": 30}
        story.seen("auditor", "workload", user_id=user(actor), data=data, **sums)
    owners = {run: user(actor) for actor, (run, _) in ASKED.items()}
    named = [{"run_id": run, "user_id": owner, "thread_id": "t-1"} for run, owner in owners.items()]
    story.seen("auditor", "answers", rows=[{**row, "text": REPORT["summary"]} for row in named])
    story.seen("auditor", "checkpoints", rows=[row for run, owner in owners.items() for row in _results(run, owner)])
    runs = [{**row, "status": "completed", "route": TAKEN[row["run_id"]]} for row in named]
    return told(story.end(), about("runs"), rows=runs)


def _script(run: str) -> Iterable[tuple[str, str, str, str]]:
    for type_, agent, tool, call in script(TAKEN[run]):
        failed = run == "r-4" and (type_, agent) == ("agent_completed", "triage")
        yield ("agent_error" if failed else type_, agent, tool, call)


def _results(run: str, owner: str) -> list[Row]:
    ran = [agent for agent in AGENTS[TAKEN[run]] if (run, agent) != ("r-4", "triage")]
    figures = OPTIMIZATION if run == "r-1" else {}
    missing = ["triage"] if run == "r-4" else []
    answer = {**figures, **REPORT, "route": TAKEN[run], "partial": run != "r-1", "missing": missing}
    of = {**{agent: RESULTS[agent] for agent in ran}, "supervisor": answer}
    return [{"run_id": run, "user_id": owner, "agent": agent, "result": result} for agent, result in of.items()]


def rows(history: History, f: str, change: Callable[[list[Row]], Iterable[Row]]) -> History:
    """The auditor read other rows: `change` takes and gives them."""
    return told(history, about(f), rows=list(change([dict(row) for row in value_of(history, about(f))["rows"]])))


def result(history: History, run: str, agent: str, change: Callable[[Row], Row] | None) -> History:
    """An agent's stored result is another; None takes it away."""

    def changed(of: list[Row]) -> Iterable[Row]:
        for row in of:
            if (row["run_id"], row["agent"]) != (run, agent):
                yield row
            elif change is not None:
                yield {**row, "result": change(row["result"])}

    return rows(history, "checkpoints", changed)


def run_row(history: History, run: str, **fields: Any) -> History:
    """A run's row says something else."""
    return rows(history, "runs", lambda of: [{**row, **fields} if row["run_id"] == run else row for row in of])


def dropped(*keys: str) -> Callable[[Row], Row]:
    """A change that takes keys away."""
    return lambda row: {key: value for key, value in row.items() if key not in keys}
