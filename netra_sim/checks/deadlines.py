"""Deadlines: nobody is held longer than was promised, and a stall leaves nothing clogged."""

from __future__ import annotations

import math

from netra_sim.checks.evidence import Facts, counted, first_at, notable, op_facts, seconds, unknown
from netra_sim.checks.recovery import recovers
from netra_sim.checks.verdict import Check, Finding
from netra_sim.kernel.history import History, Op


def nothing_held(
    slack: float,
    f: tuple[str, ...] = (),
    *,
    name: str = "nothing_held",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """No op with a `deadline_s` took longer than that plus `slack` s; one still open past it is held, too.

    `f` narrows it to ops of these names.
    """

    def judge(history: History) -> Finding:
        ops = [op for op in history.ops(*f) if op.value.get("deadline_s") is not None]
        judged = [op for op in ops if op.end is not None or _over(history, op, slack) > 0]
        held = [_facts(history, op) for op in judged if _over(history, op, slack) > 0]
        if not judged:
            return unknown("No request carried a deadline that could be judged.")
        if held:
            longest = max(float(facts["over_s"]) for facts in held)
            told = f"{len(held):,} of {counted(len(judged), 'request')} were held past their deadline"
            told = f"{told}, by up to {seconds(longest)}; {first_at(held)}."
            return Finding("fail", told, notable(held, lambda facts: float(facts["over_s"])))
        least = min(-_over(history, op, 0.0) for op in judged)
        spare = f"the closest had {seconds(abs(least))} to spare"
        if least < 0:
            spare = f"the latest used {seconds(-least)} of the slack"
        return Finding("pass", f"None of {counted(len(judged), 'request')} was held past its deadline; {spare}.")

    expected = f"No request is held longer than its deadline plus {seconds(slack)}."
    return Check(name, expected, proves, judge, controls)


def pool_recovers(
    within_s: float = 60.0,
    after: str = "timeout",
    f: str | tuple[str, ...] = ("send", "history"),
    at_least: float = 0.95,
    enough: int = 1,
    *,
    name: str = "pool_recovers",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """After the stall ends the pool serves again: `recovers`, for the requests that need a connection.

    The default limit is the reference's, for a time scale of 1.
    """
    return recovers(within_s, after, f, at_least, enough, name=name, proves=proves, controls=controls)


def _over(history: History, op: Op, slack: float) -> float:
    """Seconds past deadline and slack; an open op was held at least until the history's end."""
    end = history.end if op.end is None else op.end
    over = (end - op.start) / 1e9 - float(op.value["deadline_s"]) - slack
    return over if math.fabs(over) > 1e-9 else 0.0


def _facts(history: History, op: Op) -> Facts:
    return op_facts(history, op, over_s=round(_over(history, op, 0.0), 4))
