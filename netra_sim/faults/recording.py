"""What passed through the proxies of one process, message by message, while somebody listens."""

from __future__ import annotations

import time
from typing import Any

from netra_sim.faults.wire.base import Message, Stream

MOST = 20_000  # messages of one recording
TEXT = 2_000  # characters of a message that are kept
FACTS = ("command", "key", "method", "path", "status", "tag")


class Recording:
    """The messages of one proxy since it was begun; beyond MOST they are only counted."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.missed = 0

    def note(self, connection: int, stream: Stream, message: Message) -> None:
        """A message has passed; `t` is CLOCK_MONOTONIC in ns, so that recordings of several proxies join."""
        if len(self.messages) >= MOST:
            self.missed += 1
            return
        facts = {name: value for name in FACTS if (value := message.facts.get(name)) is not None}
        told = {"t": time.monotonic_ns(), "connection": connection, "stream": stream, "type": message.type}
        said = {"text": message.text[:TEXT], "bytes": len(message.raw), "exchange": message.exchange, "facts": facts}
        self.messages.append({**told, **said})
