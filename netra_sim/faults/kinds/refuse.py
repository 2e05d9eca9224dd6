"""New connections are reset at once; open ones go on."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Way


@dataclass(frozen=True)
class Refuse(Kind):
    """No attributes. A hit is a connection refused."""

    name = "refuse"
    at_door = True

    def stub(self, way: Way, rng: Random) -> Stub[Refuse]:
        """There is no link that could be struck."""
        raise NotImplementedError("refuse strikes connections before they have a link")
