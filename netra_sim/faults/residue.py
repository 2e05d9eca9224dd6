"""What faults have left behind: a run that leaves anything fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from netra_sim.faults.control import FaultControl


class Mortal(Protocol):
    """A process that a fault may have left dead or frozen."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        ...

    @property
    def paused(self) -> bool:
        """Whether it is frozen."""
        ...


async def residue(control: FaultControl, prefix: str, processes: Mapping[str, Mortal]) -> list[dict[str, Any]]:
    """Toxics still set, proxies still disabled, processes not running, each as a small fact."""
    left: list[dict[str, Any]] = []
    for name, proxy in (await control.proxies(prefix)).items():
        edge = name.removeprefix(prefix)
        left += [{"what": "toxic", "edge": edge, "type": t["type"], "name": t["name"]} for t in proxy["toxics"]]
        if not proxy["enabled"]:
            left.append({"what": "disabled proxy", "edge": edge})
    left += [{"what": "dead process", "name": name} for name, process in processes.items() if not process.alive]
    left += [{"what": "frozen process", "name": name} for name, process in processes.items() if process.paused]
    return left
