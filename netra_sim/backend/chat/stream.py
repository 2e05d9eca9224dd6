"""Where a socket stands in its user's stream: what to send now, what was sent, what is missing. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Move = Literal["send", "drop", "gap"]


@dataclass(slots=True)
class Cursor:
    """`position` is the last seq handed to the socket, None until the client resumed; `wanted` the newest known."""

    position: int | None = None
    wanted: int = 0

    def resume(self, last_seq: int) -> None:
        """The client has everything up to `last_seq`."""
        self.position = last_seq
        self.wanted = max(self.wanted, last_seq)

    def offer(self, seq: int) -> Move:
        """Send the next one, drop what was sent; a gap means that the store must be asked."""
        self.wanted = max(self.wanted, seq)
        if self.position is None or seq <= self.position:
            return "drop"
        if seq == self.position + 1:
            self.position = seq
            return "send"
        return "gap"

    @property
    def behind(self) -> bool:
        """True when the store holds frames that were not sent."""
        return self.position is not None and self.position < self.wanted
