"""How soon after a fault's heal the platform serves again, and that it then stays up."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

from netra_sim.checks.evidence import (
    Facts,
    at,
    counted,
    named,
    notable,
    nouns,
    op_facts,
    percent,
    seconds,
    unknown,
)
from netra_sim.checks.verdict import Check, Finding, never_struck
from netra_sim.kernel.history import Fault, History, Op

_GRAVITY = {"pass": 0, "unknown": 1, "fail": 2}


def recovers(
    within_s: float,
    after: str = "kill",
    f: str | tuple[str, ...] = "send",
    at_least: float = 0.95,
    enough: int = 1,
    *,
    name: str = "recovers",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """Within `within_s` s after each heal of a fault of kind `after`, `at_least` of the ops succeed for good.

    Judged are ops invoked after the heal, until the next strike of any fault or the load's end. The platform is back
    with the first success from which on that share of them, and `enough` at the least, succeeds: a success between
    failures, such as that of one worker of two, is no recovery.
    """
    spec = _Spec(within_s, after, f, at_least, enough)
    expected = (
        f"Within {seconds(within_s)} after the {after} is healed the {nouns(f)} succeed again, at least "
        f"{at_least * 100:g} % of them from then on."
    )
    return Check(name, expected, proves, spec.judge, controls)


@dataclass(frozen=True)
class _Spec:
    within_s: float
    after: str
    f: str | tuple[str, ...]
    at_least: float
    enough: int

    def judge(self, history: History) -> Finding:
        """The gravest of the findings after each fault; of passes, that of the slowest recovery."""
        faults = [fault for fault in history.faults() if fault.kind == self.after]
        if not faults:
            return unknown(f"No {self.after} was planned.")
        if any(never_struck(fault) for fault in faults):
            return unknown(f"A planned {self.after} never struck.")
        marks = history.seen("load_ended")
        end = marks[-1].t if marks else history.end
        ops = [op for op in named(history, self.f) if op.start <= end]
        strikes = sorted(fault.began for fault in history.faults() if fault.began is not None)
        found = [self._after(history, fault, ops, strikes) for fault in faults]
        return max(found, key=lambda each: (_GRAVITY[each[0].outcome], each[1]))[0]

    def _after(self, history: History, fault: Fault, ops: list[Op], strikes: list[int]) -> tuple[Finding, float]:
        """The finding after one fault, and how long the recovery took (s)."""
        if fault.healed is None:
            return unknown(f"The {self.after} of {fault.target} was never healed."), 0.0
        calm = next((strike for strike in strikes if strike > fault.healed), None)
        asked = [op for op in ops[bisect_left(ops, fault.healed, key=lambda op: op.start) :] if _before(op, calm)]
        if len(asked) < self.enough or asked[0].start > fault.healed + self.within_s * 1e9:
            few = f"Only {counted(len(asked), 'op')} of {nouns(self.f)}" if asked else f"No {nouns(self.f)}"
            return unknown(f"{few} were made within {seconds(self.within_s)} after the heal."), 0.0
        first = self._back(asked)
        times = _times(history, fault, first)
        if first is None or first.end is None:
            met = sum(op.outcome == "ok" for op in asked)
            evidence = notable([op_facts(history, op) for op in asked if op.outcome != "ok"])
            told = (
                f"The {nouns(self.f)} never came back for good after the {self.after} of {fault.target} was healed: "
                f"{met:,} of {len(asked):,} succeeded."
            )
            return Finding("fail", told, (times, *evidence)), math.inf
        took = (first.end - fault.healed) / 1e9
        return self._judged(history, times, asked[asked.index(first) :], took), took

    def _back(self, asked: list[Op]) -> Op | None:
        """The first success from which on enough of the ops succeed."""
        met, found = 0, None
        for total, op in enumerate(reversed(asked), start=1):
            met += op.outcome == "ok"
            if op.outcome == "ok" and total >= self.enough and met >= self.at_least * total:
                found = op
        return found

    def _judged(self, history: History, times: Facts, since: list[Op], took: float) -> Finding:
        bad = [op_facts(history, op) for op in since if op.outcome != "ok"]
        met = len(since) - len(bad)
        told = (
            f"Back {seconds(took)} after the {times['fault']} of {times['target']} was healed; "
            f"from then on {met:,} of {counted(len(since), 'op')} succeeded ({percent(met, len(since))})."
        )
        return Finding("pass" if took <= self.within_s else "fail", told, (times, *notable(bad)))


def _before(op: Op, strike: int | None) -> bool:
    """Whether the op was over when the next fault struck; what that fault cut off is not this recovery's."""
    return strike is None or (op.end is not None and op.end <= strike)


def _times(history: History, fault: Fault, first: Op | None) -> Facts:
    fired, healed = fault.fired or fault.planned, fault.healed or history.end
    told: Facts = {"t": at(history, fired), "fault": fault.kind, "target": fault.target}
    told |= {"fired": at(history, fired), "healed": at(history, healed)}
    recovered = None if first is None or first.end is None else at(history, first.end)
    return {"which": "fault", **told, "recovered": recovered}
