"""What other capabilities may know of chat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Order:
    """A message that was stored and waits for its run."""

    run_id: str
    user_id: str
    thread_id: str
    message_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """What happened in a run; the journal gives it its `run_seq` and `seq`."""

    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """What belongs together and is committed in one transaction: events, a state change, a checkpoint, an answer."""

    events: Sequence[Event] = ()
    transition: tuple[str, str] | None = None
    checkpoint: tuple[str, dict[str, Any]] | None = None
    answer: str | None = None
    route: str | None = None


class Claimed(Exception):
    """Another worker has taken this run."""


class RunJournal(Protocol):
    """The durable record of one run."""

    async def write(self, entry: Entry) -> None:
        """Commit the entry, then show its events to the user; Claimed when the state had moved on under it."""
        ...

    async def reload(self) -> tuple[str, list[str]]:
        """The run's state as committed and the agents that have not ended; the next entry follows the last one."""
        ...


class Runs(Protocol):
    """Who executes runs."""

    def start(self, order: Order) -> None:
        """Begin in the background."""
        ...

    def has_room(self) -> bool:
        """False when this worker runs as many agents as it may."""
        ...
