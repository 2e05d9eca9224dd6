"""The golden path on one real worker against its hand-written lower bound: the same stores, model server and users."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from redis.asyncio import Redis

from tests.bench.bound import Bound
from tests.bench.load import Client, client, volley
from tests.bench.measure import ENOUGH, Figure, Goal, Pair, cpu_s, over, pairs, percentile, ratio
from tests.bench.stage import BOUND, Side, lab, side

HALF, AIM = Goal(0.5), Goal(0.7)
SLICE = 0.5  # seconds
LIMIT = 0.1  # seconds: "LLM time + 100 ms" (reference, section 8), and the model server takes none
AGAINST = f"lower bound ({Bound.__module__})"


@dataclass
class Team:
    """Some users of one side, and what their runs took."""

    side: Side
    clients: Sequence[Client]
    each: int = 1
    taken: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    async def slice(self) -> float:
        """Runs a second of one volley."""
        before = cpu_s(self.side.pid)
        seconds, taken = await volley(self.clients, self.each)
        self.cpu.append((cpu_s(self.side.pid) - before) / len(taken))
        self.taken += taken
        return len(taken) / seconds


async def figures(quick: bool) -> list[Figure]:
    """Runs a second, latency and CPU, at 1, 10 and 100 users."""
    found = []
    async with lab() as here, side(here, "worker", 100) as real, side(here, "bound", 100, BOUND) as bound:
        for users in (1, 10) if quick else (1, 10, 100):
            found += await _at(users, real, bound, here.redis.url, 5 if quick else 20)
    return found


async def _at(users: int, real: Side, bound: Side, redis_url: str, wanted: int) -> list[Figure]:
    async with _team(real, users) as ours, _team(bound, users) as theirs:
        for team in (ours, theirs):  # connections, prepared statements and caches are warm before it counts
            await team.slice()
        rate = await theirs.slice()
        ours.each = theirs.each = max(1, round(SLICE * rate / users))
        wanted = max(wanted, 0 if wanted < 10 else -(-ENOUGH // (users * ours.each)))
        for team in (ours, theirs):
            team.taken.clear()
            team.cpu.clear()
        measured = []
        async with Redis.from_url(redis_url) as redis:
            for _ in range(wanted):
                await _forget_sends(redis, ours, theirs)
                measured += await pairs(ours.slice, theirs.slice, 1, most=2)
    return _told(users, ours, theirs, measured)


@contextlib.asynccontextmanager
async def _team(side: Side, users: int) -> AsyncIterator[Team]:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client(side, user)) for user in side.users[:users]]
        yield Team(side, clients)


async def _forget_sends(redis: Redis, *teams: Team) -> None:
    """The limiter counts, as it would, but no user meets his limit."""
    keys = [f"{team.side.prefix}sends:{user.id}" for team in teams for user in team.side.users]
    await redis.unlink(*keys)


def _told(users: int, ours: Team, theirs: Team, measured: Sequence[Pair]) -> list[Figure]:
    name = f"golden path, {users} user{'s' if users > 1 else ''}"
    share, good = ratio(measured)
    cost, _ = ratio(Pair(a, b, 0.0) for a, b in zip(theirs.cpu, ours.cpu, strict=True))
    rows = [
        Figure(f"{name}: runs a second", share, "of the bound", HALF, AGAINST, good),
        Figure(f"{name}: CPU of the server a run", cost, "bound / worker", None, AGAINST, len(ours.cpu)),
        Figure(f"{name}: CPU of the worker a run", _middle(ours.cpu) * 1e6, "µs", None, "", len(ours.cpu)),
        Figure(f"{name}: CPU of the bound a run", _middle(theirs.cpu) * 1e6, "µs", None, "", len(theirs.cpu)),
    ]
    for team, who in ((ours, "worker"), (theirs, "bound")):
        rows += _latency(f"{name}: answer, {who}", team.taken)
    return rows


def _latency(name: str, taken: Sequence[float]) -> list[Figure]:
    middle, high = percentile(taken, 0.5), percentile(taken, 0.99)
    if middle is None or high is None:
        return [Figure(f"{name}, over {LIMIT * 1e3:g} ms", over(taken, LIMIT), "runs", None, "", len(taken))]
    return [
        Figure(f"{name}, p50", middle * 1e3, "ms", None, "", len(taken)),
        Figure(f"{name}, p99", high * 1e3, "ms", None, "", len(taken)),
    ]


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
