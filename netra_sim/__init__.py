"""A resilience lab for an AI-agent chat platform, in notebooks.

`await run("golden/chat")` starts a lab, runs a scenario with its controls, and gives a `Result`;
`async with Lab() as lab: await lab.run(...)` keeps the lab for several runs; `scenarios()` lists what there is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netra_sim.reports.notebook import show
    from netra_sim.reports.result import Result
    from netra_sim.scenarios.door import Lab, run, scenarios
    from netra_sim.scenarios.panel import panel

__version__ = "0.1.0"
__all__ = ["Lab", "Result", "panel", "run", "scenarios", "show"]

_HOMES = {
    "Lab": "netra_sim.scenarios.door",
    "Result": "netra_sim.reports.result",
    "panel": "netra_sim.scenarios.panel",
    "run": "netra_sim.scenarios.door",
    "scenarios": "netra_sim.scenarios.door",
    "show": "netra_sim.reports.notebook",
}


def __getattr__(name: str) -> Any:
    """Import a part of the front door when it is first used."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
