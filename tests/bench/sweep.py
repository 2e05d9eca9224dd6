"""How long the scenarios take: the sweep of `nox -s scenarios` itself, as a process, from start to report."""

from __future__ import annotations

import asyncio
import sys
import time

from tests.bench.measure import Figure, Goal, missing

SWEEP = (sys.executable, "-m", "netra_sim", "run")
SMOKE, FULL = Goal(180.0, most=True), Goal(720.0, most=True)  # seconds; the aim of the full one is 360


async def figures(quick: bool) -> list[Figure]:
    """Seconds of the smoke sweep and, unless `quick`, of the full one with all controls."""
    smoke = await _sweep("scenarios, smoke", SMOKE)
    if quick:
        return [smoke]
    return [smoke, await _sweep("scenarios, full", FULL, "--full")]


async def _sweep(name: str, goal: Goal, *words: str) -> Figure:
    begun = time.perf_counter()
    code, text = await _said(*SWEEP, *words)
    if code != 0:  # a sweep that fails may be fast
        return missing(name, "s", f"the sweep ended with exit code {code}: {text.strip()[-200:]}", goal)
    return Figure(name, time.perf_counter() - begun, "s", goal, "", 1)


async def _said(*words: str) -> tuple[int, str]:
    """Exit code and output; the sweep ends with its parent, and so does what it started."""
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        text, _ = await process.communicate()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    return process.returncode or 0, text.decode(errors="replace")
