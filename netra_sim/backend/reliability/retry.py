"""How often and when to try again: backoff with full jitter, under a budget.

Full jitter: Brooker, "Exponential Backoff And Jitter" (2015). Budget: Google SRE book, chapter 21.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from netra_sim.kernel.clock import Clock


class BudgetLike(Protocol):
    """What a policy asks of a retry budget."""

    def called(self) -> None:
        """Count a first attempt."""
        ...

    def grant(self) -> bool:
        """True when one more retry is within the budget; it then counts."""
        ...


class Budget:
    """Retries may be half of the calls of the last 10 s, and always a few, so that a quiet service may retry."""

    def __init__(self, clock: Clock, window: float = 10.0, share: float = 0.5, floor: int = 10) -> None:
        self._clock, self._window, self._share, self._floor = clock, round(window * 1e9), share, floor
        self._calls: deque[int] = deque()
        self._retries: deque[int] = deque()

    def called(self) -> None:
        """Count a first attempt."""
        self._forget()
        self._calls.append(self._clock.now_ns())

    def grant(self) -> bool:
        """Spend one retry if there is one left in the window."""
        self._forget()
        if len(self._retries) >= max(self._floor, len(self._calls) * self._share):
            return False
        self._retries.append(self._clock.now_ns())
        return True

    def _forget(self) -> None:
        oldest = self._clock.now_ns() - self._window
        for times in (self._calls, self._retries):
            while times and times[0] < oldest:
                times.popleft()


class BareBudget:
    """No budget: every retry is granted."""

    def called(self) -> None:
        """Nothing is counted."""

    def grant(self) -> bool:
        """Always."""
        return True


@dataclass(frozen=True, slots=True)
class Backoff:
    """Tries in all, and the ceiling of the wait before each further one: `first` doubling to `cap`, in seconds."""

    tries: int
    first: float
    cap: float

    def wait(self, attempt: int, rng: random.Random) -> float | None:
        """Seconds before the attempt after this one (attempts count from 1), or None when all are spent."""
        if attempt >= self.tries:
            return None
        return rng.uniform(0, min(self.cap, self.first * 2 ** (attempt - 1)))
