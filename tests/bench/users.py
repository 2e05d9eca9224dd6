"""How many users the platform holds at once: the scenarios' own platform and users, LLM latency as in the reference.

All sign in within one window, and ask one question each, one window later: so there is a moment at which all are
connected and none has an answer. Everything is in real time (time scale 1), and shares the machine with its users.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

from netra_sim.faults.control import FaultControl
from netra_sim.kernel.history import History, HistoryWriter
from netra_sim.kernel.rng import Rng
from netra_sim.lab.lab import Lab
from netra_sim.scenarios.platform import platform
from netra_sim.scenarios.trial import REQUEST_DEADLINE, RUN_LIMIT
from netra_sim.users import tenants
from netra_sim.users.api import Settings
from netra_sim.users.load import arrivals, drive
from netra_sim.users.persona import Persona, Profile, Say, persona
from netra_sim.users.session import Session
from tests.bench.measure import Figure, Goal, over, percentile
from tests.bench.stage import ROWS

AT_ONCE, SHARE = 1000, Goal(0.999)
WINDOW = 60.0  # seconds
MOST, STEP = 8000, 250  # users: where the search ends, and how closely it looks
PLAIN = Profile(messages=(1, 1), drop=0.0, history=0.0, signup=0.0, probe=0.0, logout=0.0)


async def figures(quick: bool) -> list[Figure]:
    """The share of 1,000 users who got their answer within the limits."""
    users, window = (100, 10.0) if quick else (AT_ONCE, WINDOW)
    history = await trial(users, window)
    taken = [op.seconds or 0.0 for op in history.ops("chat") if op.outcome == "ok"]
    name = f"{users:,} users at once"
    rows = [Figure(f"{name}: success", share(history, users), "share", SHARE, "answers within 30 s", users)]
    if (high := percentile(taken, 0.99)) is None:
        return [*rows, Figure(f"{name}: answers over 15 s", over(taken, 15.0), "answers", None, "", len(taken))]
    return [*rows, Figure(f"{name}: answer p99", high, "s", None, "", len(taken))]


async def most(quick: bool) -> list[Figure]:
    """The largest number of users at once that is held within the limits: doubled until it fails, then bisected."""
    window = 10.0 if quick else WINDOW
    held, failed = 0, None
    users = 50 if quick else AT_ONCE
    while failed is None and users <= (100 if quick else MOST):
        held, failed = (users, None) if await _holds(users, window) else (held, users)
        users *= 2
    while not quick and failed is not None and failed - held > STEP:
        middle = (held + failed) // 2
        held, failed = (middle, failed) if await _holds(middle, window) else (held, middle)
    against = "the search's end" if failed is None else f"{failed:,} users were not held"
    return [Figure("users held at once", held, "users", None, against, 1)]


async def trial(users: int, window: float) -> History:
    """One load on a fresh lab; its history."""
    rng = Rng(7).child("users")
    people = [_asks_after(window, persona(rng, number, PLAIN)) for number in range(1, users + 1)]
    history = HistoryWriter()
    async with contextlib.AsyncExitStack() as stack:
        lab = await stack.enter_async_context(Lab(time_scale=1.0))
        control = await stack.enter_async_context(FaultControl(lab.proxy.url))
        at = await stack.enter_async_context(platform(lab, control, "bench", 7))
        await tenants.seed(at.database_url, at.logs_url, rng, [who.account for who in people], ROWS)
        settings = Settings(at.url, REQUEST_DEADLINE, RUN_LIMIT)

        async def life(number: int) -> None:
            await Session(people[number - 1], settings, history, rng).run()

        await drive(arrivals(rng, users, window), life, history, 2 * window + 3 * RUN_LIMIT)
    return history.freeze()


def share(history: History, users: int) -> float:
    """The part of the users whose question was answered within the limit."""
    good = [op for op in history.ops("chat") if op.outcome == "ok" and (op.seconds or 0.0) <= RUN_LIMIT]
    return len(good) / users


def _asks_after(seconds: float, who: Persona) -> Persona:
    said: Sequence[Say] = [dataclasses.replace(i, think_s=seconds) for i in who.intents if isinstance(i, Say)]
    return dataclasses.replace(who, intents=tuple(said))


async def _holds(users: int, window: float) -> bool:
    return SHARE.holds(share(await trial(users, window), users))
