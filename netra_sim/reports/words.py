"""What a run means, in a sentence or two for somebody who will read no further."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netra_sim.kernel.history import History
from netra_sim.reports.runs import Run


def meaning(run: Run) -> str:
    """The consequence as the verdict allows it to be told: a promise that did not hold is not repeated as a fact."""
    if run.result is None:
        return "Started and left no result. It says nothing about the platform."
    data = run.result.data
    consequence = str(data["consequence"])
    if run.verdict == "pass":
        return consequence
    if run.verdict == "fail":
        return f"Not shown: “{consequence}” {_blame(data, 'fail', 'Failed')}"
    return f"Undecided: “{consequence}” {_blame(data, 'unknown', 'Could not be judged')}"


def load(history: History) -> str:
    """Whether the intended load was really applied; empty when the history does not tell."""
    marks = history.seen("load_ended")
    if not marks or "started" not in marks[-1].value:
        return ""
    told = marks[-1].value
    were = "was" if told["cut"] == 1 else "were"
    cut = f"{told['cut']:,} {were} sent home when the time was up" if told["cut"] else "none was cut off"
    late = f"the latest came {told['late_s'] * 1e3:,.0f} ms after the planned moment"
    ops = len(history.ops())
    return (
        f"{told['started']:,} of {told['planned']:,} planned users came, {cut}; {late}. They made {ops:,} operations."
    )


def _blame(data: Mapping[str, Any], outcome: str, word: str) -> str:
    checks = [f"`{check['check']}`" for check in data["checks"] if check["outcome"] == outcome]
    silent = [f"`{control['name']}`" for control in data["controls"] if not control["convicts"]]
    said = [f"{word}: {', '.join(checks)}."] if checks else []
    said += [f"No check noticed the control {', '.join(silent)}."] if silent else []
    said += ["The run broke off."] if data.get("error") else []
    return " ".join(said)
