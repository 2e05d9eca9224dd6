"""The main job: every notebook with its parameters, live progress, then the report; ctrl-C still reports what ran."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import psutil

from netra_sim.scenarios import registry
from netra_sim.scenarios.door import new_folder
from netra_sim.scenarios.parent import when_parent_ends
from netra_sim.scenarios.running import GRACE, Job, Running
from netra_sim.scenarios.scenario import Scenario

PASS, FAILED, ABORTED = 0, 1, 2
LOOK = 0.1  # seconds between looks at progress and processes
LABS, COMING_UP = 8, 3  # labs at once at the most, and of these such as are just coming up
CONTROLS = 2  # controls at once unless told


def plan(root: Path, runs: Path, only: Sequence[str], given: dict[str, Any], *, full: bool = False) -> list[Job]:
    """The jobs of a sweep; UnknownName or BadValue before anything starts.

    `only` keeps scenarios whose name begins with one of the words; a parameter must be known to every kept scenario.
    With `full`, a scenario is run with all its controls, and with its further parameter sets.
    """
    return [
        _job(root, runs, scenario, {**chosen, **given})
        for scenario in registry.beginning(only)
        for chosen in (({"all_controls": True}, *scenario.full) if full else ({},))
    ]


def _job(root: Path, runs: Path, scenario: Scenario, given: dict[str, Any]) -> Job:
    checked = scenario.parameters.checked(given)
    notebook = root / "notebooks" / f"{scenario.name}.ipynb"
    values = {name: getattr(checked, name) for name in given}
    return Job(scenario, notebook, values, scenario.variant(checked), new_folder(runs, scenario.name, checked.seed))


def sweep(jobs: Sequence[Job], at_once: int = CONTROLS, concluded: Callable[[Path], None] = lambda _: None) -> int:
    """Run the jobs; the exit code is 0 for pass, 1 for verdicts that are not, 2 when a run was aborted.

    First the labs come up. Then each protected trial has the machine for itself, one after the other. Controls, whose
    limits of time are not judged, run when no protected trial can: `at_once` of them, of all scenarios. `concluded` is
    told the folder of each run that has its result.
    """
    waiting, running, ended = list(jobs), list[Running](), list[Running]()
    with _interruptible() as stop:
        while (waiting or running) and not stop:
            while waiting and len(running) < LABS and sum(one.coming_up for one in running) < COMING_UP:
                running.append(Running.start(waiting.pop(0)))
            give_turns(running, at_once)
            time.sleep(LOOK)
            for one in tuple(running):
                one.tell()
                if one.process.poll() is not None:
                    running.remove(one)
                    ended.append(one.conclude())
                    if one.verdict() != "aborted":
                        concluded(one.job.folder)
        psutil.wait_procs([process for one in running for process in one.end()], timeout=GRACE)
        ended += [one.conclude() for one in running]
    return _exit_code(ended, missing=len(waiting))


class Takes(Protocol):
    """A run that takes turns."""

    @property
    def coming_up(self) -> bool:
        """Whether its lab does."""

    @property
    def wants_to_be_measured(self) -> bool:
        """Whether its lab is up and its protected trial has not begun."""

    @property
    def is_measured(self) -> bool:
        """Whether its protected trial is under way."""

    @property
    def under_way(self) -> int:
        """Controls."""

    @property
    def work_left(self) -> float:
        """Seconds that controls which have not begun need by themselves; 0 while it can take no turn."""

    def give(self) -> None:
        """The turn it waits for."""
        ...


def give_turns(running: Sequence[Takes], at_once: int) -> None:
    """A measured trial alone; else controls, those of the run first that by itself would need the longest."""
    if any(one.is_measured for one in running):
        return
    first = next((one for one in running if one.wants_to_be_measured), None)
    if first is not None and not any(one.coming_up for one in running):
        if not any(one.under_way for one in running):
            first.give()
        return
    while sum(one.under_way for one in running) < at_once:
        most = max(running, key=lambda one: one.work_left, default=None)
        if most is None or not most.work_left:
            return
        most.give()


def _exit_code(ended: Sequence[Running], missing: int) -> int:
    verdicts = [one.verdict() for one in ended]
    if missing or "aborted" in verdicts:
        return ABORTED
    return PASS if all(v == "pass" for v in verdicts) else FAILED


@contextlib.contextmanager
def _interruptible() -> Iterator[list[int]]:
    """A list that a SIGINT, a SIGTERM or the end of the parent fills."""
    caught: list[int] = []
    when_parent_ends(lambda: caught.append(signal.SIGTERM))
    before = {n: signal.signal(n, lambda number, _: caught.append(number)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
