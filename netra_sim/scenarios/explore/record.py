"""Which exchanges a flow has: recorded at the proxies, without what the workers do by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from netra_sim.scenarios.explore.fingerprint import Exchange, exchanges
from netra_sim.scenarios.explore.flow import Flow
from netra_sim.scenarios.explore.lane import Lane

IDLE = 15.0  # seconds before scaling; every timer of a worker that has no socket fires within
SOCKETS = frozenset([("postgres", "SELECT id, last_seq FROM users WHERE id = ANY($1::uuid[])")])  # while one is open
Messages = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Recorded:
    """The exchanges that were the same in two runs, in order; those that were sent with the one before them."""

    exchanges: tuple[Exchange, ...]
    followers: frozenset[Exchange]
    unstable: int = 0  # exchanges that only one of the two runs had


async def recorded(lane: Lane, flow: Flow) -> Recorded:
    """Run the flow until pools and statements are warm, then record it twice."""
    for _ in range(2):
        await lane.run(flow)
    background = SOCKETS | await _background(lane)
    first, second = [await _once(lane, flow) for _ in range(2)]
    found = [set(named(messages, f"{lane.name}:", background)) for messages in (first, second)]
    both = found[0] & found[1]
    order = tuple(e for e in named(first, f"{lane.name}:", background) if e in both)
    together = followers(first, f"{lane.name}:", background)
    return Recorded(order, frozenset(together & both), len(found[0] ^ found[1]))


def named(messages: Messages, prefix: str, background: Iterable[tuple[str, str]]) -> list[Exchange]:
    """The exchanges of a recording but for those of the background, which are known by edge and fingerprint."""
    return [e for e in exchanges(messages, prefix) if (e.edge, e.fingerprint) not in background]


def followers(messages: Messages, prefix: str, background: Iterable[tuple[str, str]]) -> set[Exchange]:
    """The commands that went out before the one ahead of them on their connection was answered."""
    waiting: dict[tuple[str, int], bool] = {}
    found = set()
    counted = iter(exchanges(messages, prefix))
    for edge, message in messages:
        exchange = next(counted) if exchanges([(edge, message)], prefix) else None
        place = (edge, int(message["connection"]))
        if exchange is not None and exchange.kind == "command":
            if waiting.get(place) and (edge, exchange.fingerprint) not in background:
                found.add(exchange)
            waiting[place] = True
        elif message["stream"] == "downstream":
            waiting[place] = False
    return found


async def _background(lane: Lane) -> frozenset[tuple[str, str]]:
    await lane.listen()
    messages = await lane.record(lambda: asyncio.sleep(IDLE * lane.lab.time_scale))
    return frozenset((e.edge, e.fingerprint) for e in exchanges(messages, f"{lane.name}:"))


async def _once(lane: Lane, flow: Flow) -> Messages:
    """From its `strike` on; what comes after the flow is over (health, the next login) is none of it."""
    messages: Messages = []

    async def watched(scene: Any) -> None:
        nonlocal messages
        messages = await lane.record(lambda: flow(scene))

    await lane.run(watched, begin=lane.listen)
    return messages
