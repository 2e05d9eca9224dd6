"""Stored histories judged again with the checks of today, without running anything: which verdicts would change."""

from __future__ import annotations

import datetime
import json
import os
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from netra_sim.kernel.errors import BadValue, NetraError
from netra_sim.kernel.history import History
from netra_sim.reports.result import FILE, Result
from netra_sim.reports.runs import latest, run_folders
from netra_sim.scenarios import provenance, registry
from netra_sim.scenarios.judging import judged
from netra_sim.scenarios.scenario import Control

SAME, CHANGED, NOTHING = 0, 1, 2
NEW, GONE = "(new)", "(gone)"
WIDEST = 72  # characters of what a check observed


@dataclass(frozen=True)
class Change:
    """What comes out differently now; `before` is "(new)" and `now` is "(gone)" where there is nothing to compare."""

    what: str
    before: str
    now: str
    observed: str = ""


@dataclass(frozen=True)
class Again:
    """A stored run judged again: its changes, and the part of its result that says so; or why it cannot be judged."""

    folder: Path
    problem: str = ""
    part: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    differs: bool = False  # be it only in what a check observed or proves

    @property
    def checks(self) -> int:
        """How often a check judged a history."""
        return sum(len(each["checks"]) for each in (self.part, *self.part["controls"])) if self.part else 0


def chosen(runs: Path, only: Sequence[str] = (), *, shown: bool = False) -> list[Path]:
    """Folders of the runs below `runs` that have a result, or of those alone that the report shows.

    `only` keeps scenarios whose name begins with one of the words; UnknownName when none does.
    """
    names = {scenario.name for scenario in registry.beginning(only)}
    found = [run.folder for run in latest(runs)] if shown else list(run_folders(runs))
    kept = (f for f in found if not only or f.parent.relative_to(runs).as_posix() in names)
    return sorted(folder for folder in kept if (folder / FILE).exists())


def rejudge(named: Sequence[Path], *, write: bool = False) -> int:
    """Judge the runs in these folders again, and print what would change; with `write`, store it.

    The exit code: 0 nothing changes, 1 something does, 2 there was nothing that could be judged.
    """
    for folder in named:
        if not (folder / FILE).is_file():
            raise BadValue(field="a run", value=str(folder), allowed=f"a folder that holds {FILE}")
    began = time.monotonic()
    found = _all(named)
    print(told(found, time.monotonic() - began))
    if write:
        differing = [one for one in found if one.differs]
        for one in differing:
            store(one)
        print(f"Written: the verdicts of {_counted(len(differing), 'run')}.")
    if not any(one.part for one in found):
        return NOTHING
    return CHANGED if any(one.changes for one in found) else SAME


def again(folder: Path) -> Again:
    """The run in this folder, judged by the checks of today; each of its histories is read once."""
    try:
        old = Result.load(folder)
        scenario = registry.find(old.scenario)
        parameters = scenario.parameters.checked(dict(old.data["parameters"]))
        known = {control.name: control for control in scenario.controls(parameters)}
        kept = {data["name"]: data for data in old.data["controls"] if data["name"] in known}
        new = judged(scenario, parameters, old.history, _histories(folder, known, kept))
        # What a control did to its run stays as stored; what is expected of it is judged by today's scenario.
        controls = [{**kept[conviction["name"]], **conviction} for conviction in new.controls]
        part = {"verdict": new.verdict, "checks": new.checks, "controls": controls, "controls_left": new.left}
        part = json.loads(json.dumps(part))
        differs = any(old.data.get(key) != value for key, value in part.items())
        return Again(folder, part=part, changes=tuple(changes(old.data, part)), differs=differs)
    except NetraError as error:
        return Again(folder, problem=str(error))
    except Exception as error:  # whatever an old run lacks, the others are judged
        return Again(folder, problem=f"{type(error).__name__}: {error}")


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """From the stored verdicts to the new ones: of checks, of controls, of the run."""
    yield from _checks("check ", old, new)
    controls = {control["name"]: control for control in new["controls"]}
    for before in old["controls"]:
        name = f"control {before['name']}"
        now = controls.get(before["name"])
        if now is None:
            yield Change(name, _convicts(before), GONE)
            continue
        if before["convicts"] != now["convicts"]:
            yield Change(name, _convicts(before), _convicts(now))
        yield from _checks(f"{name}: ", before, now)
    if old["verdict"] != new["verdict"]:
        yield Change("verdict of the run", old["verdict"], new["verdict"])


def told(found: Sequence[Again], seconds: float) -> str:
    """What would change, run by run, what could not be judged, and a sentence that sums up."""
    if not found:
        return "There is no stored run to judge: `nox -s scenarios` makes them."
    able = [one for one in found if not one.problem]
    changed = [one for one in able if one.changes]
    lines = [line for one in changed for line in (_named(one.folder), *_rows(one.changes), "")]
    lines += [f"{_named(one.folder)} cannot be judged: {one.problem}" for one in found if one.problem]
    histories, checks = sum(1 + len(one.part["controls"]) for one in able), sum(one.checks for one in able)
    work = f"{_counted(len(able), 'run')} ({histories:,} histories, {checks:,} verdicts of checks) in {seconds:.1f} s"
    first = f"Verdicts of {_counted(len(changed), 'run')} would change" if changed else "No stored verdict would change"
    reworded = sum(one.differs and not one.changes for one in able)
    words = f" Only what is told of them would change in {_counted(reworded, 'run')}." if reworded else ""
    unable = f" {_counted(len(found) - len(able), 'run')} cannot be judged." if len(able) < len(found) else ""
    return "\n".join([*lines, f"{first}; judged: {work}.{words}{unable}" if able else f"Nothing was judged.{unable}"])


def store(one: Again) -> None:
    """Put the new verdicts into the run's result; the old ones stay under `judged_before`, the oldest first."""
    old = Result.load(one.folder).data
    first = {"commit": old.get("commit"), "time": old["started"]}
    before = {**old.get("judged", first), **{key: old[key] for key in one.part if key in old}}
    now = {"commit": provenance.commit(), "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    Result(
        {**old, **one.part, "judged": now, "judged_before": [*old.get("judged_before", ()), before]}, one.folder
    ).save()


def _all(named: Sequence[Path]) -> list[Again]:
    at_once = min(os.cpu_count() or 1, len(named))
    if at_once <= 1:
        return [again(folder) for folder in named]
    with ProcessPoolExecutor(at_once, get_context("spawn")) as pool:
        return list(pool.map(again, named))


def _histories(
    folder: Path, known: Mapping[str, Control], kept: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[Control, History]]:
    """One after the other, so that only one is held in memory."""
    for name, data in kept.items():
        yield known[name], History.load(folder / data["history"])


def _checks(label: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before = {check["check"]: check["outcome"] for check in old["checks"]}
    now = {check["check"]: check for check in new["checks"]}
    for name, check in now.items():
        if before.get(name) != check["outcome"]:
            yield Change(label + name, before.get(name, NEW), check["outcome"], check["observed"])
    for name, outcome in before.items():
        if name not in now:
            yield Change(label + name, outcome, GONE)


def _convicts(control: Mapping[str, Any]) -> str:
    return "convicts" if control["convicts"] else "does not convict"


def _rows(found: Sequence[Change]) -> Iterator[str]:
    """Aligned, with what is observed now cut to one line."""
    widest = max(len(each.what) for each in found)
    for each in found:
        turn = f"{each.before} -> {each.now}"
        seen = textwrap.shorten(each.observed, WIDEST, placeholder=" ...")
        yield f"  {each.what:<{widest}}  {turn:<18} {seen}".rstrip()


def _named(folder: Path) -> str:
    """As `--run` takes it."""
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
