"""Draws the pages of runs that have ended while others go on, in processes of their own that give way to all others."""

from __future__ import annotations

import os
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Self

from netra_sim.reports import site
from netra_sim.reports.result import write_whole
from netra_sim.reports.runs import latest

NICE = 10


class Painter:
    """Pages of runs below `runs` go to `reports`; all that were asked for are there when the block ends in order."""

    def __init__(self, runs: Path, reports: Path) -> None:
        self._runs, self._reports = runs, reports
        self._pool = ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), initializer=os.nice, initargs=(NICE,))
        self._asked: list[Future[None]] = []

    def draw(self, folder: Path) -> None:
        """The page of the run in this folder, as soon as there is time."""
        self._asked.append(self._pool.submit(_draw, self._runs, self._reports, folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=error is not None)
        if error is None:
            for asked in self._asked:
                asked.result()


def _draw(runs: Path, reports: Path, folder: Path) -> None:
    for run in latest(runs):
        if run.folder == folder:
            write_whole(reports / run.page, site.page(run))
