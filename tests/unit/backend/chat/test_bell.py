"""Notifications where Redis does not carry events: bundled, kept while the store is away, heard by others."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from netra_sim.backend.chat.bell import CHANNEL, Bell
from netra_sim.backend.reliability.policy import Unavailable
from netra_sim.kernel.clock import ManualClock


class Database:
    """Remembers what was notified; `away` fails the next one."""

    def __init__(self) -> None:
        self.sent: list[Sequence[str]] = []
        self.away = 0
        self.told: list[str | Exception] = []
        self.done = asyncio.Event()

    async def notify(self, channel: str, payloads: Sequence[str]) -> None:
        assert channel == CHANNEL
        if self.away:
            self.away -= 1
            raise Unavailable("postgres", 1, "gone", 0.5)
        self.sent.append(payloads)
        self.done.set()

    async def listen(self, channel: str) -> AsyncIterator[str]:
        for told in self.told:
            if isinstance(told, Exception):
                raise told
            yield told
        self.done.set()
        await asyncio.Event().wait()


class Tower:
    """A bell with what it told."""

    def __init__(self) -> None:
        self.database, self.clock = Database(), ManualClock()
        self.heard: list[tuple[str, int]] = []
        self.caught_up = 0
        self.bell = Bell(
            self.database,  # type: ignore[arg-type]
            lambda user, seq: self.heard.append((user, seq)), self._catch_up, self.clock, 0.1,
        )  # fmt: skip

    async def _catch_up(self) -> None:
        self.caught_up += 1


async def test_what_is_rung_together_goes_out_together_each_user_once():
    tower = Tower()
    for user, seq in (("a", 3), ("b", 1), ("a", 5), ("a", 4)):
        tower.bell.ring(user, seq)
    task = asyncio.create_task(tower.bell.send())
    await tower.database.done.wait()
    assert tower.database.sent == [["a 5", "b 1"]]
    task.cancel()


async def test_what_postgres_did_not_take_is_sent_later():
    tower = Tower()
    tower.database.away = 1
    tower.bell.ring("a", 3)
    task = asyncio.create_task(tower.bell.send())
    await tower.clock.advance(0.5)
    await tower.database.done.wait()
    assert tower.database.sent == [["a 3"]]
    task.cancel()


async def test_everyone_catches_up_when_listening_begins_and_is_told_from_then_on():
    tower = Tower()
    tower.database.told = ["", "a 3", "b 7"]
    task = asyncio.create_task(tower.bell.listen())
    await tower.database.done.wait()
    assert (tower.caught_up, tower.heard) == (1, [("a", 3), ("b", 7)])
    task.cancel()


async def test_a_lost_connection_is_opened_again():
    tower = Tower()
    tower.database.told = ["", ConnectionError("lost")]
    task = asyncio.create_task(tower.bell.listen())
    await tower.clock.advance(0.35)
    assert tower.caught_up == 4
    task.cancel()
