"""The deadline that every call below a request or a run inherits."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar

_end: ContextVar[float] = ContextVar("deadline", default=math.inf)


def remaining() -> float:
    """Seconds until the inherited deadline; infinite where there is none."""
    return _end.get() - asyncio.get_running_loop().time()


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Everything below ends within `seconds`; an earlier deadline above stays in force."""
    end = min(_end.get(), asyncio.get_running_loop().time() + seconds)
    token = _end.set(end)
    try:
        yield
    finally:
        _end.reset(token)
