"""The main job: every notebook with its parameters, live progress, then the report; ctrl-C still reports what ran."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from netra_sim.kernel.errors import UnknownName
from netra_sim.reports.runs import VARIANT
from netra_sim.scenarios import registry
from netra_sim.scenarios.door import new_folder
from netra_sim.scenarios.parent import when_parent_ends
from netra_sim.scenarios.scenario import Scenario

PASS, FAILED, ABORTED = 0, 1, 2
GRACE = 4.0  # seconds for a lab to end in order after ctrl-C
LOOK = 0.1  # seconds between looks at progress and processes


@dataclass(frozen=True)
class Job:
    """One notebook to run, with its checked parameters and the folder that takes its run."""

    scenario: Scenario
    notebook: Path
    parameters: dict[str, Any]
    variant: str
    folder: Path

    @property
    def name(self) -> str:
        """For whoever watches."""
        return self.scenario.name if self.variant == "smoke" else f"{self.scenario.name} ({self.variant})"


def plan(root: Path, runs: Path, only: Sequence[str], given: dict[str, Any], *, full: bool = False) -> list[Job]:
    """The jobs of a sweep; UnknownName or BadValue before anything starts.

    `only` keeps scenarios whose name begins with one of the words; a parameter must be known to every kept scenario.
    With `full`, a scenario is run with all its controls, and with its further parameter sets.
    """
    known = registry.scenarios()
    for word in only:
        if not any(name.startswith(word) for name in known):
            raise UnknownName(what="scenario", name=word, known=", ".join(known))
    kept = [s for name, s in known.items() if not only or name.startswith(tuple(only))]
    return [
        _job(root, runs, scenario, {**chosen, **given})
        for scenario in kept
        for chosen in (({"all_controls": True}, *scenario.full) if full else ({},))
    ]


def _job(root: Path, runs: Path, scenario: Scenario, given: dict[str, Any]) -> Job:
    checked = scenario.parameters.checked(given)
    notebook = root / "notebooks" / f"{scenario.name}.ipynb"
    values = {name: getattr(checked, name) for name in given}
    return Job(scenario, notebook, values, scenario.variant(checked), new_folder(runs, scenario.name, checked.seed))


def sweep(jobs: Sequence[Job], at_once: int = 1) -> int:
    """Run the jobs; the exit code is 0 for pass, 1 for verdicts that are not, 2 when a run was aborted.

    Of `at_once` jobs each is measured with the machine for itself, but while the controls of the last of them run, the
    next one's kernel and lab come up: it then waits for its turn.
    """
    waiting, running, ended = list(jobs), list[Running](), list[Running]()
    with _interruptible() as stop:
        while (waiting or running) and not stop:
            while waiting and len(running) < at_once + all(one.measured for one in running):
                running.append(Running.start(waiting.pop(0)))
            for one in running[:at_once]:
                one.admit()
            time.sleep(LOOK)
            for one in tuple(running):
                one.tell()
                if one.process.poll() is not None:
                    running.remove(one)
                    ended.append(one.conclude())
        ended += [one.end().conclude() for one in running]
    return _exit_code(ended, missing=len(waiting))


@dataclass
class Running:
    """A job under way: its process, and how much of its progress was told."""

    job: Job
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    began: float
    told: int = 0
    measured: bool = False
    admitted: bool = False

    @staticmethod
    def start(job: Job) -> Running:
        """In a process group of its own, so that ctrl-C reaches the sweep alone, which then ends all in order."""
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / VARIANT).write_text(job.variant)
        environment = {
            **os.environ,
            "NETRA_RUN_FOLDER": str(job.folder),
            "NETRA_PROGRESS": str(job.folder / "progress.jsonl"),
            "NETRA_SWEEP": "1",
            "NETRA_GATE": str(job.folder / "gate"),
        }
        os.mkfifo(environment["NETRA_GATE"])
        log = (job.folder / "papermill.log").open("wb")
        words = [
            sys.executable, "-m", "netra_sim.scenarios.execute", str(job.notebook),
            str(job.folder / "notebook.ipynb"), json.dumps(job.parameters),
        ]  # fmt: skip
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, process_group=0
        )
        print(f"{job.name}: started", flush=True)
        return Running(job, process, log, time.monotonic())

    def tell(self) -> None:
        """Print what has happened since the last look."""
        path = self.job.folder / "progress.jsonl"
        if not path.exists():
            return
        lines = path.read_text().splitlines()
        for line in lines[self.told :]:
            event = json.loads(line)
            self.measured |= event["trial"] != "protected"
            seconds = time.monotonic() - self.began
            print(f"{self.job.name}: {event['trial']}: {event['phase']}  ({seconds:.1f} s)", flush=True)
        self.told = len(lines)

    def admit(self) -> None:
        """Let the run begin, once its notebook waits for that."""
        if not self.admitted:
            with contextlib.suppress(OSError):  # ENXIO: nobody waits yet
                os.close(os.open(self.job.folder / "gate", os.O_WRONLY | os.O_NONBLOCK))
                self.admitted = True

    def end(self) -> Running:
        """Kill the notebook's runner and its kernel; the lab host sees that and ends in order, which is waited for."""
        runner = psutil.Process(self.process.pid)
        family, kernels = runner.children(recursive=True), runner.children()
        for one in (runner, *kernels):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()
        psutil.wait_procs(family, timeout=GRACE)
        return self

    def conclude(self) -> Running:
        """Print the verdict."""
        self.log.close()
        (self.job.folder / "gate").unlink(missing_ok=True)
        print(f"{self.job.name}: {self.verdict()}  ({time.monotonic() - self.began:.1f} s)", flush=True)
        if self.verdict() == "aborted":
            text = (self.job.folder / "papermill.log").read_text(errors="replace").strip()
            print(text[-2000:] or f"See {self.job.folder}", file=sys.stderr)
        return self

    def verdict(self) -> str:
        """Out of the result file; aborted when there is none."""
        path = self.job.folder / "result.json"
        return str(json.loads(path.read_text())["verdict"]) if path.exists() else "aborted"


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
