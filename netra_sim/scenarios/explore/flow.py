"""The flows that are explored: one user who does one thing, the same in every run but for his own ids.

What comes before `scene.strike` is no part of the flow: nothing is recorded and no fault is set until then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from netra_sim.kernel.clock import SystemClock
from netra_sim.kernel.history import HistoryWriter, Record
from netra_sim.kernel.rng import Rng
from netra_sim.users import wire, workload
from netra_sim.users.api import Api, Settings, Told
from netra_sim.users.auditor import settled
from netra_sim.users.persona import Account, Persona, Say
from netra_sim.users.record import Actor
from netra_sim.users.session import Session

ROWS = 200  # of the user's workload log
TRIES = 3


class HeldClock(SystemClock):
    """The system's clock, on which nobody wakes up while it is held."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()

    async def sleep(self, seconds: float) -> None:
        """Sleep, and on until the clock is free."""
        await asyncio.sleep(seconds)
        await self.free.wait()


@dataclass(frozen=True)
class Scene:
    """One run of a flow: its user, its place, its history; `strike` begins what is explored."""

    account: Account
    settings: Settings
    history: HistoryWriter
    clock: HeldClock
    rng: Rng
    database_url: str
    logs_url: str
    ids: tuple[str, str]  # of the thread and the message
    strike: Callable[[], Awaitable[None]]

    def api(self) -> Api:
        """The user's HTTP side."""
        return Api(self.settings, self.account, Actor(self.history, self.account.name), self.clock)

    def session(self, ready: Callable[[], Awaitable[None]]) -> Session:
        """The user signs up, brings his log, then connects and asks one question; `ready` is before he connects."""
        thread, message = self.ids
        words = f"[data:{self.account.data}] In workspace {self.account.canary}: what could we save on model calls?"
        intents = (Say(0.0, message, thread, words),)
        who = Persona(self.account, "header", True, False, True, (), intents)

        async def bring(account: Account, user_id: str) -> None:
            if self.logs_url:
                await workload.load(self.logs_url, [workload.log(self.rng, account, user_id, ROWS)])
            await ready()

        return Session(who, self.settings, self.history, self.rng, bring)


Flow = Callable[[Scene], Awaitable[None]]


async def login(scene: Scene) -> None:
    """Open an account, sign in, read a thread twice: the second time the session stands in the cache."""
    async with contextlib.aclosing(scene.api()) as api:
        await scene.strike()
        if not await _insist(scene, api.signup, taken=True):
            return
        if await _insist(scene, api.login):
            await api.read_thread(scene.ids[0])
            await api.read_thread(scene.ids[0])


async def refresh(scene: Scene) -> None:
    """With an access token that has run out: a new pair, then a request with it."""
    async with contextlib.aclosing(scene.api()) as api:
        await api.signup()
        await scene.strike()
        api.expired()
        await api.renew()
        await api.read_thread(scene.ids[0])  # renews again where that did not work


async def chat(scene: Scene) -> None:
    """Connect, ask, read every event up to the answer, leave."""
    await scene.session(scene.strike).run()


async def reconnect(scene: Scene) -> None:
    """Lose the connection after the question was accepted, come back when the answer stands, and be told all of it."""

    async def nothing() -> None:
        """The flow begins later."""

    session = scene.session(nothing)
    accepted = scene.history.first(_frame("message_accepted"))
    life = asyncio.create_task(session.run())
    try:
        await asyncio.wait((life, accepted), return_when=asyncio.FIRST_COMPLETED)
        scene.clock.free.clear()
        session.drop()
        await settled(scene.database_url, 10.0)
        await scene.strike()
        scene.clock.free.set()
        await life
    finally:
        life.cancel()
        await asyncio.wait([life])


FLOWS: dict[str, Flow] = {"login": login, "chat": chat, "reconnect": reconnect, "refresh": refresh}


async def _insist(scene: Scene, ask: Callable[[], Awaitable[Told]], *, taken: bool = False) -> bool:
    """Ask again as a client does; whether it worked. With `taken`, an account that exists is as good as opened."""
    for attempt in range(TRIES):
        told = await ask()
        if told.outcome == "ok" or (taken and told.status == 409):
            return True
        if told.outcome == "fail" and told.status not in (None, 429, 503):
            return False
        await scene.clock.sleep(max(wire.backoff(attempt, 0.5) * scene.settings.time_scale, told.retry_after_s))
    return False


def _frame(type_: str) -> Callable[[Record], bool]:
    return lambda record: record.f == "frame" and record.value.get("type") == type_
