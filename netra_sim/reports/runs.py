"""The stored runs: the latest of every scenario, aborted where it left no result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from netra_sim.reports.result import FILE, Result

SEVERITY = ("fail", "aborted", "unknown", "pass")
_RUN = re.compile(r"(?P<time>.+)-seed(?P<seed>\d+)")


@dataclass(frozen=True)
class Run:
    """A run's folder and what it came to; `result` is None when the run was aborted."""

    scenario: str
    folder: Path
    result: Result | None

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


def latest(runs: Path) -> list[Run]:
    """The latest run of every scenario below `runs` (`<scenario>/<time>-seed<n>/`), the worst verdict first."""
    newest: dict[str, Path] = {}
    for folder in _folders(runs):
        scenario = folder.parent.relative_to(runs).as_posix()
        if scenario not in newest or newest[scenario].name < folder.name:
            newest[scenario] = folder
    found = [Run(scenario, folder, _result(folder)) for scenario, folder in newest.items()]
    return sorted(found, key=lambda run: (SEVERITY.index(run.verdict), run.scenario))


def worst(verdicts: Iterable[str]) -> str:
    """The worst of these verdicts; unknown when there is none."""
    return min(verdicts, key=SEVERITY.index, default="unknown")


def _result(folder: Path) -> Result | None:
    return Result.load(folder) if (folder / FILE).exists() else None


def _folders(folder: Path) -> Iterator[Path]:
    """Run folders at any depth; what lies inside one is not looked at."""
    for child in sorted(folder.iterdir()) if folder.is_dir() else ():
        if child.is_dir() and _RUN.fullmatch(child.name):
            yield child
        elif child.is_dir():
            yield from _folders(child)
