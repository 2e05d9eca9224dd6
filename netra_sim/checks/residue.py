"""What a run leaves behind: nothing."""

from __future__ import annotations

from netra_sim.checks.evidence import at, counted, notable, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import audited
from netra_sim.kernel.history import History


def no_residue(
    *,
    name: str = "no_residue",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """After the run no toxic, disabled proxy or stopped process is left."""
    return Check(name, "Nothing is left of the run: no toxic, no stopped process.", proves, _judge, controls)


def _judge(history: History) -> Finding:
    record = audited(history, "residue")
    if record is None:
        return unknown("Nobody looked for what the run left behind.")
    left = list(record.value.get("left", ()))
    if not left:
        return Finding("pass", "Nothing is left of the run.")
    facts = [{"t": at(history, record.t), "left": each} for each in left]
    return Finding("fail", f"{counted(len(left), 'thing')} left behind: {left[0]}.", notable(facts))
