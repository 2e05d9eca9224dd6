"""A failing plan made as small as it can be: no step of it can be left out. Pure but for what it is given to ask.

After Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002), ddmin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def shrink(plan: Sequence[T], violates: Callable[[tuple[T, ...]], Awaitable[bool]]) -> tuple[T, ...]:
    """A part of a violating plan, in its order, that violates and of which no step can be left out.

    Each part is asked about once; an empty plan is never asked about.
    """
    known: dict[tuple[int, ...], bool] = {}

    async def fails(places: tuple[int, ...]) -> bool:
        if places and places not in known:
            known[places] = await violates(tuple(plan[n] for n in places))
        return bool(places) and known[places]

    left, parts = tuple(range(len(plan))), 2
    while len(left) > 1:
        size = -(-len(left) // parts)
        chunks = [left[n : n + size] for n in range(0, len(left), size)]
        rests = [tuple(n for n in left if n not in chunk) for chunk in chunks]
        smaller = await _first([*chunks, *rests], fails)
        if smaller is not None:
            left, parts = smaller, max(2, parts - 1) if smaller in rests else 2
        elif size == 1:
            break
        else:
            parts = min(len(left), parts * 2)
    return tuple(plan[n] for n in left)


async def _first(
    sets: Sequence[tuple[int, ...]], fails: Callable[[tuple[int, ...]], Awaitable[bool]]
) -> tuple[int, ...] | None:
    for one in sets:
        if await fails(one):
            return one
    return None
