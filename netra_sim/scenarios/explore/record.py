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
RECORDINGS = 3  # an answer of the model is as long as it is: what the longest alone has cannot be struck
EMPTY = 5  # bytes of the longest reply of Redis that says that there is nothing: $-1 and the line's end
SOCKETS = frozenset([("postgres", "SELECT id, last_seq FROM users WHERE id = ANY($1::uuid[])")])  # while one is open
Messages = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Recorded:
    """The exchanges that were the same in all recordings, in order.

    `followers` are those that were sent with the one before them, `missed` those to which there was no value.
    """

    exchanges: tuple[Exchange, ...]
    followers: frozenset[Exchange]
    missed: frozenset[Exchange]
    unstable: int = 0  # exchanges that only some of the recordings had


async def recorded(lane: Lane, flow: Flow) -> Recorded:
    """Run the flow until pools and statements are warm, then record it a few times."""
    for _ in range(2):
        await lane.run(flow)
    prefix = f"{lane.name}:"
    background = SOCKETS | await _background(lane)
    first, *others = [await _once(lane, flow) for _ in range(RECORDINGS)]
    found = [frozenset(named(messages, prefix, background)) for messages in (first, *others)]
    common = frozenset.intersection(*found)
    return Recorded(
        tuple(e for e in named(first, prefix, background) if e in common),
        followers(first, prefix, background) & common,
        missed(first, prefix) & common,
        len(frozenset.union(*found) - common),
    )


def named(messages: Messages, prefix: str, background: Iterable[tuple[str, str]]) -> list[Exchange]:
    """The exchanges of a recording but for those of the background, which are known by edge and fingerprint."""
    return [e for e in exchanges(messages, prefix) if (e.edge, e.fingerprint) not in background]


def followers(messages: Messages, prefix: str, background: Iterable[tuple[str, str]]) -> frozenset[Exchange]:
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
    return frozenset(found)


def missed(messages: Messages, prefix: str) -> frozenset[Exchange]:
    """The commands to which Redis answered that it has nothing, or nothing to say."""
    asked = [each for each in messages if exchanges([each], prefix)]
    short = {_place(*each) for each in messages if each[1]["type"] == "reply" and each[1]["bytes"] <= EMPTY}
    return frozenset(e for e, each in zip(exchanges(asked, prefix), asked, strict=True) if _place(*each) in short)


def _place(edge: str, message: dict[str, Any]) -> tuple[str, int, int]:
    return edge, int(message["connection"]), int(message["exchange"])


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
