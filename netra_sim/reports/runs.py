"""The stored runs: the latest of every scenario and parameter set, aborted where it left no result."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netra_sim.reports.result import FILE, SCHEMA, Result

SEVERITY = ("fail", "aborted", "unknown", "pass")
USUAL = "smoke"  # the name of a scenario's usual parameter set
VARIANT = "variant"  # the file that names the parameter set of a run that may yet be aborted
_UNSAFE = re.compile(r"[^A-Za-z0-9_.=,+-]+")
_RUN = re.compile(r"(?P<time>.+)-seed(?P<seed>\d+)")


@dataclass(frozen=True)
class Run:
    """A run's folder and what it came to; `result` is None when the run was aborted.

    `variant` names its parameter set, `before` is the result of the run of the same set that ended before it.
    """

    scenario: str
    folder: Path
    result: Result | None
    variant: str = USUAL
    before: Result | None = None

    @property
    def name(self) -> str:
        """The scenario, with its parameter set unless that is the usual one."""
        return self.scenario if self.variant == USUAL else f"{self.scenario} ({self.variant})"

    @property
    def label(self) -> str:
        """The name for a reader."""
        return self.scenario if self.variant == USUAL else f"{self.scenario}: {set_name(self.variant)}"

    @property
    def page(self) -> str:
        """The file of its page."""
        stem = self.scenario.replace("/", "-")
        return (stem if self.variant == USUAL else f"{stem}--{_UNSAFE.sub('-', self.variant)}") + ".html"

    @property
    def verdict(self) -> str:
        """One of pass, fail, unknown, aborted."""
        return self.result.verdict if self.result else "aborted"

    @property
    def last_words(self) -> str:
        """The end of what the notebook's runner said, for a run that was aborted."""
        log = self.folder / "papermill.log"
        return log.read_text(encoding="utf-8", errors="replace").strip()[-4000:] if log.exists() else ""

    @property
    def seed(self) -> int:
        """The seed in the folder's name."""
        match = _RUN.fullmatch(self.folder.name)
        return int(match["seed"]) if match else 0

    @property
    def started(self) -> str:
        """When it began: ISO time from the result, else the time in the folder's name."""
        match = _RUN.fullmatch(self.folder.name)
        return str(self.result.data["started"]) if self.result else match["time"] if match else self.folder.name


def set_name(variant: str) -> str:
    """A parameter set for a reader: `users=40,all_controls=True` is `users 40, every control`."""
    if variant == USUAL:
        return "usual parameters"
    return variant.replace("all_controls=True", "every control").replace("_", " ").replace("=", " ").replace(",", ", ")


def latest(runs: Path) -> list[Run]:
    """The latest run of every scenario and parameter set below `runs`, the worst verdict first.

    A run lies in `<scenario>/<time>-seed<n>/`. One with parameters of its own counts until the scenario is run with its
    usual ones again: what somebody tried once does not stay for ever.
    """
    stored: dict[tuple[str, str], list[Path]] = {}
    for folder in sorted(run_folders(runs), key=lambda folder: folder.name, reverse=True):
        scenario = folder.parent.relative_to(runs).as_posix()
        stored.setdefault((scenario, _variant(folder)), []).append(folder)
    usual = {scenario: folders[0].name for (scenario, variant), folders in stored.items() if variant == USUAL}
    sets = _sets(stored)
    found = [
        _run(scenario, variant, folders)
        for (scenario, variant), folders in stored.items()
        if variant in sets[scenario] or folders[0].name >= usual.get(scenario, "")
    ]
    return sorted(found, key=lambda run: (SEVERITY.index(run.verdict), run.scenario, run.variant != USUAL, run.variant))


def run_folders(folder: Path) -> Iterator[Path]:
    """Run folders below this one, at any depth; what lies inside a run's is not looked at."""
    for child in sorted(folder.iterdir()) if folder.is_dir() else ():
        if child.is_dir() and _RUN.fullmatch(child.name):
            yield child
        elif child.is_dir():
            yield from run_folders(child)


def worst(verdicts: Iterable[str]) -> str:
    """The worst of these verdicts; unknown when there is none."""
    return min(verdicts, key=SEVERITY.index, default="unknown")


def _run(scenario: str, variant: str, folders: list[Path]) -> Run:
    """The first of the folders, newest first, with the next one that holds a result of the schema of today."""
    newest, *older = folders
    result = Result.load(newest) if (newest / FILE).exists() else None
    before = next((folder for folder in older if _stored(folder).get("schema") == SCHEMA), None)
    return Run(scenario, newest, result, variant, Result.load(before) if before else None)


def _variant(folder: Path) -> str:
    named = folder / VARIANT  # of a sweep's run: a few bytes, where its result is read whole
    if named.exists():
        return named.read_text(encoding="utf-8").strip()
    return str(_stored(folder).get("variant", USUAL))


def _sets(stored: dict[tuple[str, str], list[Path]]) -> dict[str, list[str]]:
    """By scenario, the names of its own parameter sets, as its newest run that has a result tells them."""
    newest: dict[str, tuple[str, list[str]]] = {}
    for (scenario, _), folders in stored.items():
        told = next(((f.name, _stored(f)) for f in folders if _stored(f)), ("", {}))
        newest[scenario] = max(newest.get(scenario, ("", [USUAL])), (told[0], list(told[1].get("sets", [USUAL]))))
    return {scenario: sets for scenario, (_, sets) in newest.items()}


def _stored(folder: Path) -> dict[str, Any]:
    file = folder / FILE
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found
