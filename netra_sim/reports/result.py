"""A run's result: the stored JSON, its histories beside it, and its verdict as an exception."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from netra_sim.kernel.errors import BadValue, UnknownName, VerdictError
from netra_sim.kernel.history import History
from netra_sim.reports import tables

SCHEMA = 1
FILE = "result.json"


@dataclass(frozen=True)
class Control:
    """A run of the same seed and faults with the protection broken."""

    data: Mapping[str, Any]
    folder: Path

    @cached_property
    def history(self) -> History:
        """What was recorded; OSError when the file is gone."""
        return History.load(self.folder / self.data["history"])

    @property
    def label(self) -> str:
        """The control in words, e.g. `Without deadline`."""
        return tables.control_label(self.data)


@dataclass(frozen=True, repr=False)
class Result:
    """What a run came to: `data` as in result.json (schema 1), `folder` where it and its histories lie."""

    data: Mapping[str, Any]
    folder: Path

    @staticmethod
    def load(path: Path) -> Result:
        """Read result.json, given the file or its folder; BadValue for a schema of another version."""
        file = path / FILE if path.is_dir() else path
        data = json.loads(file.read_text(encoding="utf-8"))
        if data.get("schema") != SCHEMA:
            raise BadValue(field=f"schema of {file.name}", value=data.get("schema"), allowed=str(SCHEMA))
        return Result(data, file.parent)

    def save(self, path: Path | None = None) -> Path:
        """Write result.json into the folder (or to `path`) so that it is there whole or not at all."""
        file = path or self.folder / FILE
        write_whole(file, json.dumps(self.data, indent=1, ensure_ascii=False) + "\n")
        return file

    @property
    def scenario(self) -> str:
        """The scenario's name, e.g. `chaos/database-lost`."""
        return str(self.data["scenario"])

    @property
    def verdict(self) -> str:
        """One of pass, fail, unknown, aborted."""
        return str(self.data["verdict"])

    @cached_property
    def history(self) -> History:
        """What was recorded; OSError when the file is gone."""
        return History.load(self.folder / self.data["history"])

    @cached_property
    def controls(self) -> list[Control]:
        """The control runs, in the order in which they were run."""
        return [Control(data, self.folder) for data in self.data["controls"]]

    def control(self, name: str) -> Control:
        """The control run of this name; UnknownName when there is none."""
        found = {control.data["name"]: control for control in self.controls}
        if name not in found:
            raise UnknownName(what="control", name=name, known=", ".join(found) or "none")
        return found[name]

    @property
    def blame(self) -> list[str]:
        """What kept the verdict from pass: checks, controls that did not convict, the run's error."""
        checks = [c["check"] for c in self.data["checks"] if c["outcome"] != "pass"]
        controls = [f"control {c['name']} does not convict" for c in self.data["controls"] if not c["convicts"]]
        error = self.data.get("error")
        return checks + controls + ([f"error {error['code']}"] if error else [])

    def raise_unless_pass(self) -> None:
        """VerdictError, which names what did not pass, unless the verdict is pass."""
        if self.verdict != "pass":
            checks = ", ".join(self.blame) or "the run as a whole"
            raise VerdictError(scenario=self.scenario, verdict=self.verdict, checks=checks, report=str(self.folder))

    def __repr__(self) -> str:
        """The verdict table as plain text."""
        return tables.verdicts(self.data).text()

    def _repr_html_(self) -> str:
        return tables.verdicts(self.data).html()


def write_whole(file: Path, text: str) -> None:
    """Write a file through a temporary neighbour, so that a reader never sees half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as sink:
            sink.write(text)
            sink.flush()
            os.fsync(sink.fileno())
        os.chmod(name, 0o644)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
