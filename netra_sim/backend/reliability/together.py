"""Run coroutines side by side; when one fails the others are cancelled and its own error is raised."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """All results in order; the first error as it was, not wrapped in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(w) for w in work]
    except ExceptionGroup as errors:
        raise first(errors) from errors
    return [task.result() for task in tasks]


def first(error: Exception) -> Exception:
    """The error that ended a group of tasks; others followed from it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
