"""What faults have left behind: a run that leaves anything fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from netra_sim.faults.control import FaultControl


class Stoppable(Protocol):
    """A process that may have been left stopped."""

    @property
    def stopped(self) -> bool:
        """Whether it does not run though it should."""
        ...


async def residue(control: FaultControl, prefix: str, processes: Mapping[str, Stoppable]) -> list[dict[str, Any]]:
    """Toxics still set, proxies still disabled, processes not running, each as a small fact."""
    left: list[dict[str, Any]] = []
    for name, proxy in (await control.proxies(prefix)).items():
        edge = name.removeprefix(prefix)
        left += [{"what": "toxic", "edge": edge, "type": t["type"], "name": t["name"]} for t in proxy["toxics"]]
        if not proxy["enabled"]:
            left.append({"what": "disabled proxy", "edge": edge})
    left += [{"what": "stopped process", "name": name} for name, process in processes.items() if process.stopped]
    return left
