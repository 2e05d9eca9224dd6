"""Every scenario by name."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from netra_sim.kernel.errors import UnknownName
from netra_sim.scenarios import catalogue
from netra_sim.scenarios.scenario import Scenario


@cache
def scenarios() -> dict[str, Scenario]:
    """All scenarios: each module of the catalogue holds one as SCENARIO."""
    modules = [
        importlib.import_module(f"{catalogue.__name__}.{m.name}") for m in pkgutil.iter_modules(catalogue.__path__)
    ]
    return {s.name: s for s in sorted((m.SCENARIO for m in modules), key=lambda s: (s.group != "golden", s.name))}


def find(name: str) -> Scenario:
    """The scenario of a name; UnknownName lists the known ones."""
    try:
        return scenarios()[name]
    except KeyError:
        raise UnknownName(what="scenario", name=name, known=", ".join(scenarios())) from None


def beginning(words: Sequence[str]) -> list[Scenario]:
    """The scenarios whose name begins with one of the words, all without a word; UnknownName when none does."""
    for word in words:
        if not any(name.startswith(word) for name in scenarios()):
            raise UnknownName(what="scenario", name=word, known=", ".join(scenarios()))
    return [s for name, s in scenarios().items() if not words or name.startswith(tuple(words))]


@cache
def requirements() -> dict[str, Any]:
    """The catalogue of requirements: what the system must be able to show, row by row."""
    return tomllib.loads((resources.files("netra_sim.scenarios") / "requirements.toml").read_text())
