"""A notebook's way to what exploration has found; where nothing was explored yet, it asks for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from netra_sim.kernel.errors import BadValue
from netra_sim.reports.exploration import Exploration, exploration
from netra_sim.scenarios.door import project


async def explored(flows: Sequence[str] = ("login",), seconds: float = 60.0, *, again: bool = False) -> Exploration:
    """What reports/explore.json says; without one, or `again`, these flows are explored first for so long at most.

    BadValue when that cannot be done. It runs in a process of its own, which owns the lab.
    """
    file = project() / "reports" / "explore.json"
    if again or not file.exists():
        words = [word for flow in flows for word in ("--flow", flow)]
        command = (sys.executable, "-m", "netra_sim", "explore", *words, "--seconds", str(seconds), "--search", "0")
        process = await asyncio.create_subprocess_exec(
            *command, cwd=project(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.terminate()
        if process.returncode not in (0, 1):
            raise BadValue(field="explore", value=list(flows), allowed=said.decode(errors="replace").strip()[-300:])
    return exploration(file)
