"""One seed, named streams: a draw is keyed by who draws, never by the order of arrival."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rng:
    """A tree of random streams under one seed; adding a user does not shift the fault stream."""

    seed: int
    path: tuple[str, ...] = ()

    def child(self, *names: object) -> Rng:
        """The subtree below these names."""
        return Rng(self.seed, (*self.path, *map(str, names)))

    def stream(self, *names: object) -> random.Random:
        """A generator that depends on the seed and the names alone."""
        return random.Random(self.child(*names).digest())

    def digest(self) -> int:
        """The 64-bit number of this place in the tree."""
        text = "\x1f".join((str(self.seed), *self.path))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
