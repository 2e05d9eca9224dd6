"""A fault set on a proxy, and what it hit."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from netra_sim.faults.kinds.base import Kind
from netra_sim.faults.match import Counter
from netra_sim.faults.wire.base import Stream

MOST_GONE = 1000  # connections that have gone whose hits are still told; the oldest is forgotten


@dataclass
class Struck:
    """How often a connection was hit, and the text of the last message hit; none of a fault on bytes."""

    hits: int = 0
    last: str = ""


@dataclass(eq=False)
class Toxic:
    """A fault set on a proxy: what, in which direction, for which share of connections, and what it hit."""

    name: str
    kind: Kind
    stream: Stream
    toxicity: float = 1.0
    seed: int | None = None  # of its draws; None takes the process's seed and the proxy's name
    hits: int = 0
    struck: dict[int, Struck] = field(default_factory=dict)  # by the connection's number
    lease: float = 0.0  # seconds after which it goes by itself; 0 for ever
    timer: asyncio.TimerHandle | None = None
    counter: Counter = field(default_factory=Counter)  # of messages that fit, for a fault on messages
    errors: int = 0  # defects of readers or of the fault itself, each logged
    error: str = ""  # the last of them
    _gone: deque[int] = field(default_factory=deque)

    def hit(self, connection: int, text: str = "") -> None:
        """It struck the connection of this number; with a fault on messages, one with this text."""
        self.hits += 1
        struck = self.struck.get(connection)
        if struck is None:
            struck = self.struck[connection] = Struck()
        struck.hits += 1
        struck.last = text

    def left(self, connection: int) -> None:
        """The connection has gone."""
        if connection not in self.struck:
            return
        self._gone.append(connection)
        if len(self._gone) > MOST_GONE:
            del self.struck[self._gone.popleft()]

    def failed(self, error: Exception) -> None:
        """A defect: the fault or a reader has raised."""
        self.errors += 1
        self.error = repr(error)
