"""A notebook of a sweep under way: its process, its progress and the turns it takes."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from netra_sim.reports.runs import VARIANT
from netra_sim.scenarios.scenario import Scenario
from netra_sim.scenarios.turns import AUDITING, ENDED, PIPE, PROTECTED, WAITING, Giver

GRACE = 4.0  # seconds for a lab to end in order after ctrl-C


@dataclass(frozen=True)
class Job:
    """One notebook to run, with its checked parameters and the folder that takes its run."""

    scenario: Scenario
    notebook: Path
    parameters: dict[str, Any]
    variant: str
    folder: Path

    @property
    def controls(self) -> int:
        """How many controls its run has."""
        return len(self.scenario.runs(self.scenario.parameters.checked(self.parameters)))

    @property
    def name(self) -> str:
        """For whoever watches."""
        return self.scenario.name if self.variant == "smoke" else f"{self.scenario.name} ({self.variant})"


@dataclass
class Running:
    """A job under way: its process, how much of its progress was told, and the turns that it was given."""

    job: Job
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    turns: Giver
    began: float
    told: int = 0
    is_up: bool = False
    given: int = 0  # turns
    over: set[str] = field(default_factory=set)  # trials that are, but for reading what they left
    measured_at: float = 0.0
    lasted: float = 0.0  # the protected trial, in seconds

    @property
    def coming_up(self) -> bool:
        """Whether its lab does."""
        return not self.is_up

    @property
    def wants_to_be_measured(self) -> bool:
        """Whether its lab is up and its protected trial has not begun."""
        return self.is_up and self.given == 0

    @property
    def is_measured(self) -> bool:
        """Whether its protected trial is under way."""
        return self.given == 1 and not self.over

    @property
    def under_way(self) -> int:
        """Controls."""
        return 0 if self.is_measured else self.given - len(self.over)

    @property
    def work_left(self) -> float:
        """Seconds that controls which have not begun need with no other run beside them; 0 while it can take no turn.

        So long trials come first, and the many short ones of one run last, which leave no processor without work.
        """
        at_once = self.job.scenario.side_by_side
        if not self.over or self.under_way >= at_once:
            return 0.0
        return math.ceil((1 + self.job.controls - self.given) / at_once) * self.lasted

    def give(self) -> None:
        """Let its next trial begin."""
        self.given += 1
        self.measured_at = self.measured_at or time.monotonic()
        self.turns.give()

    @staticmethod
    def start(job: Job) -> Running:
        """In a process group of its own, so that ctrl-C reaches the sweep alone, which then ends all in order."""
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / VARIANT).write_text(job.variant)
        environment = {
            **os.environ,
            "NETRA_RUN_FOLDER": str(job.folder),
            "NETRA_PROGRESS": str(job.folder / "progress.jsonl"),
            PIPE: str(job.folder / "turns"),
        }
        turns = Giver(job.folder / "turns")
        log = (job.folder / "papermill.log").open("wb")
        words = [
            sys.executable, "-m", "netra_sim.scenarios.execute", str(job.notebook),
            str(job.folder / "notebook.ipynb"), json.dumps(job.parameters),
        ]  # fmt: skip
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, process_group=0
        )
        print(f"{job.name}: started", flush=True)
        return Running(job, process, log, turns, time.monotonic())

    def tell(self) -> None:
        """Heed and print what has happened since the last look."""
        path = self.job.folder / "progress.jsonl"
        if not path.exists():
            return
        lines = path.read_text().splitlines()
        for line in lines[self.told :]:
            event = json.loads(line)
            self._heed(event["trial"], event["phase"])
            seconds = time.monotonic() - self.began
            print(f"{self.job.name}: {event['trial']}: {event['phase']}  ({seconds:.1f} s)", flush=True)
        self.told = len(lines)

    def _heed(self, trial: str, phase: str) -> None:
        if trial == PROTECTED and phase == WAITING:
            self.is_up = True
        if phase in (AUDITING, ENDED):  # one that failed has no audit
            self.over.add(trial)
            self.lasted = self.lasted or time.monotonic() - self.measured_at

    def end(self) -> list[psutil.Process]:
        """Kill the notebook's runner and its kernel; the lab host sees that and ends in order. All that are to end."""
        runner = psutil.Process(self.process.pid)
        family, kernels = runner.children(recursive=True), runner.children()
        for one in (runner, *kernels):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()
        return family

    def conclude(self) -> Running:
        """Print the verdict."""
        self.log.close()
        self.turns.close()
        print(f"{self.job.name}: {self.verdict()}  ({time.monotonic() - self.began:.1f} s)", flush=True)
        if self.verdict() == "aborted":
            text = (self.job.folder / "papermill.log").read_text(errors="replace").strip()
            print(text[-2000:] or f"See {self.job.folder}", file=sys.stderr)
        return self

    def verdict(self) -> str:
        """Out of the result file; aborted when there is none."""
        path = self.job.folder / "result.json"
        return str(json.loads(path.read_text())["verdict"]) if path.exists() else "aborted"
