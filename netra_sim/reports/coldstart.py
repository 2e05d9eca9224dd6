"""The way from nothing to the first answer as bars: services that start, the first user's steps, his run's agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netra_sim.kernel.history import History, Op, Outcome
from netra_sim.reports import frames

Stage = Literal["service", "user", "agent"]
_STEPS = ("signup", "login", "connect", "send", "chat")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the way from `start` to `end` seconds after nothing ran; `closed` when its end was seen."""

    stage: Stage
    name: str
    start: float
    end: float
    outcome: Outcome
    closed: bool = True


@dataclass(frozen=True, slots=True)
class Way:
    """The parts in the order in which they began, stage by stage; `total` seconds, None without an answer."""

    parts: tuple[Part, ...]
    total: float | None


def way(history: History) -> Way | None:
    """The way to the first answer, or as far as it went; None when no service was started in the run."""
    services = [op for op in history.ops("start") if op.actor == "lab"]
    if not services:
        return None
    steps = history.ops(*_STEPS)
    answers = [op for op in steps if op.f == "chat" and op.outcome == "ok" and op.end is not None]
    first = min(answers, key=lambda op: op.end or 0, default=None)
    last = history.end if first is None or first.end is None else first.end
    who = first.actor if first else steps[0].actor if steps else None
    mine = [op for op in steps if op.actor == who and op.start <= last]
    parts = [_part(history, "service", frames.service_name(str(op.value["what"])), op, last) for op in services]
    parts += [_part(history, "user", frames.op_name(op.f), op, last) for op in mine]
    run = frames.run_frame(history, str(first.result["run_id"])) if first and "run_id" in first.result else None
    parts += _agents(run) if run else []
    return Way(tuple(parts), None if first is None else history.seconds(last))


def _part(history: History, stage: Stage, name: str, op: Op, last: int) -> Part:
    end = max(last, op.start) if op.end is None else op.end
    return Part(stage, name, history.seconds(op.start), history.seconds(end), op.outcome, op.end is not None)


def _agents(run: frames.RunFrame) -> list[Part]:
    return [
        Part(
            "agent", bar.lane.replace("_", " "), run.began + bar.start / 1e3, run.began + bar.end / 1e3,
            bar.outcome, bar.closed,
        )
        for bar in run.bars
        if not bar.label
    ]  # fmt: skip
