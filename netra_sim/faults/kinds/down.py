"""Nobody listens: new connections are refused, open ones dropped."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.base import Kind, Stub, Way


@dataclass(frozen=True)
class Down(Kind):
    """No attributes. A hit is an open connection dropped; refused ones never reach the proxy and are not counted."""

    name = "down"
    whole_proxy = True

    def stub(self, way: Way, rng: Random) -> Stub[Down]:
        """There is no link that could be struck."""
        raise NotImplementedError("down strikes a whole proxy")
