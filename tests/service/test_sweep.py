"""The main job as a user runs it: progress, verdicts, ctrl-C, a killed parent; and that nothing is left behind."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.service.lab_footprint import Footprint, base_for

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "netra_sim", "run"]


@pytest.fixture
def project(tmp_path):
    """A checkout's outline: where runs and reports go is decided by the noxfile and the notebooks."""
    (tmp_path / "noxfile.py").touch()
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    with base_for() as base:
        (tmp_path / "labs").symlink_to(base)
        yield tmp_path


async def begin(project, *words, shell=False):
    environment = {**os.environ, "NETRA_DATA_DIR": str((project / "labs").resolve()), "PYTHONPATH": str(ROOT)}
    command = [*RUN, *words]
    if shell:  # a parent that can be killed on its own
        code = f"import subprocess, sys; sys.exit(subprocess.call({command!r}))"
        command = [sys.executable, "-c", code]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command, cwd=project, env=environment, stdout=pipe, stderr=pipe, start_new_session=True
    )


async def until(process, word):
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            if word in line:
                return
    raise AssertionError(f"ended before {word!r}: {(await process.stderr.read()).decode()}")


async def test_ctrl_c_ends_in_order_and_reports_what_ran(project):
    process = await begin(project, "--only", "golden")
    await until(process, "protected: load")
    footprint = Footprint.of((project / "labs").resolve())
    assert footprint.left()
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        await process.communicate()
    assert process.returncode == 2
    await footprint.gone()
    assert "aborted" in (project / "reports/index.html").read_text().lower()
    runs = json.loads((project / "reports/results.json").read_text())["runs"]
    assert runs and {run["verdict"] for run in runs} == {"aborted"}  # labs of several came up meanwhile


async def test_when_its_parent_is_killed_nothing_is_left(project):
    process = await begin(project, "--only", "golden", shell=True)
    await until(process, "protected: load")
    footprint = Footprint.of((project / "labs").resolve())
    assert footprint.left()
    process.kill()
    async with asyncio.timeout(10):
        await process.communicate()  # its pipes close with the last of those it started
    await footprint.gone()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "golden/cat"], "no scenario named 'golden/cat'"),
        (["--set", "user=3"], "no parameter named 'user'"),
        (["--set", "users=few"], "users cannot be 'few'"),
        (["--set", "users"], "NAME=VALUE"),
        (["--seed", "-1"], "seed cannot be"),
        (["--scale", "0"], "time_scale cannot be"),
    ],
)
async def test_wrong_use_is_told_before_anything_starts(project, words, told):
    process = await begin(project, *words)
    out, err = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert told in err.decode()
    assert not list((project / "labs").iterdir()) and not (project / "runs").exists()
