"""What a check is and what it may say: pass, fail, or unknown when it had nothing to judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from netra_sim.kernel.history import Fault, History

Outcome = Literal["pass", "fail", "unknown"]
_RANK: dict[Outcome, int] = {"pass": 0, "unknown": 1, "fail": 2}


@dataclass(frozen=True)
class Finding:
    """What a check saw: a plain sentence, and the first, worst and last offending ops (times in s since start)."""

    outcome: Outcome
    observed: str
    evidence: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Check:
    """A named judgement; `proves` names catalogue lines, `controls` the controls that must make it fail."""

    name: str
    expected: str
    proves: tuple[str, ...]
    judge: Callable[[History], Finding]
    controls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """A check's finding beside what it expected; ready for `dataclasses.asdict`."""

    check: str
    outcome: Outcome
    expected: str
    observed: str
    proves: tuple[str, ...]
    evidence: tuple[dict[str, Any], ...]


def judge(check: Check, history: History) -> Verdict:
    """Let the check judge; a crash is unknown, and so is a pass while a planned fault never struck."""
    try:
        finding = check.judge(history)
    except Exception as crash:
        finding = Finding("unknown", f"The check itself crashed: {crash!r}.")
    idle = [fault for fault in history.faults() if never_struck(fault)]
    if finding.outcome == "pass" and idle:
        finding = _unproven(finding, idle, history)
    return Verdict(check.name, finding.outcome, check.expected, finding.observed, check.proves, finding.evidence)


def never_struck(fault: Fault) -> bool:
    """Whether the fault was planned but hit nothing."""
    return fault.fired is None or fault.hits == 0


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The gravest: fail before unknown before pass; of nothing, unknown."""
    return max(outcomes, key=lambda outcome: _RANK[outcome], default="unknown")


def _unproven(finding: Finding, idle: list[Fault], history: History) -> Finding:
    names = ", ".join(sorted({f"{fault.kind} on {fault.target}" for fault in idle}))
    evidence = tuple(
        {"fault": fault.kind, "target": fault.target, "planned": round(history.seconds(fault.planned), 3), "hits": 0}
        for fault in idle[:3]
    )
    told = f"A planned fault never struck ({names}), so this proves nothing: {finding.observed}"
    return Finding("unknown", told, evidence)
