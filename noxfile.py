"""Every entrance of the project; `nox -l` lists them. One environment serves all, installed from the lock once."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["scenarios"]
nox.options.error_on_missing_interpreters = True

ENVIRONMENT = ".nox/netra"
LOCK = Path("requirements.lock")


def _install(session: nox.Session, *extras: str) -> None:
    """Install the project and the versions of the lock, unless this environment has just these already."""
    stamp = Path(session.virtualenv.location) / "netra.stamp"
    wanted = hashlib.sha256(LOCK.read_bytes() + Path("pyproject.toml").read_bytes() + repr(extras).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    dev = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "dev")
    project = f".[{','.join(extras)}]" if extras else "."
    session.install("-c", str(LOCK), "-e", project, *dev)
    stamp.write_text(wanted)


@nox.session(venv_location=ENVIRONMENT)
def scenarios(session: nox.Session) -> None:
    """The main job: every notebook, then reports/. Takes --only, --set, --seed, --scale, --jobs."""
    _install(session)
    session.run("python", "-m", "netra_sim", "run", *session.posargs, interrupt_timeout=5, terminate_timeout=2)


@nox.session(venv_location=ENVIRONMENT)
def tests(session: nox.Session) -> None:
    """Unit, check and service tests with coverage."""
    _install(session)
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report")


@nox.session(venv_location=ENVIRONMENT)
def nbval(session: nox.Session) -> None:
    """The notebooks' stored outputs hold when they are run with their committed parameters."""
    _install(session)
    session.run("pytest", "--nbval", "-p", "no:cacheprovider", *(session.posargs or ["notebooks"]))


@nox.session(venv_location=ENVIRONMENT)
def lint(session: nox.Session) -> None:
    """Style, and who may import whom."""
    _install(session)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache")


@nox.session(venv_location=ENVIRONMENT)
def types(session: nox.Session) -> None:
    """Strict typing."""
    _install(session)
    session.run("mypy")


@nox.session(venv_location=ENVIRONMENT)
def report(session: nox.Session) -> None:
    """Render reports/ again from the stored runs."""
    _install(session)
    session.run("python", "-m", "netra_sim", "report")


@nox.session(python=False)
def lock(session: nox.Session) -> None:
    """Resolve requirements.lock anew (needs uv); do it on purpose, then run everything."""
    if not shutil.which("uv"):
        session.error("uv is needed to write the lock: pip install uv")
    environment = {**os.environ, "UV_CUSTOM_COMPILE_COMMAND": "nox -s lock"}
    session.run(
        "uv", "pip", "compile", "--universal", "--python-version", "3.11", "--no-emit-index-url", "--no-emit-find-links", "--quiet",
        "--all-extras", "--group", "dev", "pyproject.toml", "-o", str(LOCK), env=environment, external=True,
    )  # fmt: skip
