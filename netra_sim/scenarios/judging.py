"""Judging: from a run's histories to its verdicts, whether they were recorded just now or long ago."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from netra_sim.checks.verdict import Check, Outcome, Verdict, judge, worst
from netra_sim.kernel.history import History
from netra_sim.scenarios.scenario import Control, Parameters, Scenario


@dataclass(frozen=True)
class Judgement:
    """A run's verdict and what it rests on, as result.json holds them; `left` names the controls that did not run."""

    verdict: Outcome
    checks: list[dict[str, Any]]
    controls: list[dict[str, Any]]
    left: list[str]


def judged(
    scenario: Scenario, parameters: Parameters, history: History, controls: Iterable[tuple[Control, History]]
) -> Judgement:
    """Every check's verdict on the protected history and on that of each control."""
    checks = scenario.judges(parameters)
    verdicts = [judge(check, history) for check in checks]
    convictions = [_conviction(control, checks, seen) for control, seen in controls]
    told = [{**asdict(v), "controls": list(check.controls)} for check, v in zip(checks, verdicts, strict=True)]
    ran = {conviction["name"] for conviction in convictions}
    left = [control.name for control in scenario.controls(parameters) if control.name not in ran]
    return Judgement(overall(verdicts, convictions), told, convictions, left)


def overall(verdicts: Sequence[Verdict], controls: Sequence[dict[str, Any]]) -> Outcome:
    """The gravest verdict; a control that did not fail as it must makes the scenario fail: it proved nothing."""
    convicted: list[Outcome] = ["pass" if control["convicts"] else "fail" for control in controls]
    return worst([*(v.outcome for v in verdicts), *convicted])


def _conviction(control: Control, checks: Sequence[Check], history: History) -> dict[str, Any]:
    verdicts = [judge(check, history) for check in checks]
    failed = [v.check for v in verdicts if v.outcome == "fail"]
    return {
        "name": control.name,
        "expected": list(control.fails),
        "failed": failed,
        "verdict": worst(v.outcome for v in verdicts),
        "convicts": set(control.fails) <= set(failed),
        "checks": [asdict(v) for v in verdicts],
    }
