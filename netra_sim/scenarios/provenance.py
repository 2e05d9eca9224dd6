"""Where a result comes from: versions, commit, and the command that runs it again."""

from __future__ import annotations

import platform
import shlex
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from netra_sim.scenarios.scenario import Parameters, Scenario

NAMED = ("netra-sim", "asyncpg", "redis", "websockets", "httpx", "starlette", "uvicorn", "uvloop")


@cache
def versions() -> dict[str, str]:
    """Python, the platform, and the libraries that carry a run."""
    found = {"python": platform.python_version(), "system": platform.platform()}
    for name in NAMED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def commit() -> str | None:
    """The checkout's commit, with `+` when files differ from it; None outside a checkout."""
    head = _git("rev-parse", "--short=12", "HEAD")
    return head and head + ("+" if _git("status", "--porcelain") else "")


def _git(*words: str) -> str | None:
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", *words], check=False, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.strip()


def command(scenario: Scenario, parameters: Parameters) -> str:
    """What to type to run this again."""
    words = ["nox", "-s", "scenarios", "--", "--only", scenario.name, "--seed", str(parameters.seed)]
    if parameters.time_scale != scenario.parameters().time_scale:
        words += ["--scale", f"{parameters.time_scale:g}"]
    usual = scenario.parameters()
    for name in type(parameters).model_fields:
        value = getattr(parameters, name)
        if name not in ("seed", "time_scale") and value != getattr(usual, name):
            words += ["--set", f"{name}={value}"]
    return shlex.join(words)
