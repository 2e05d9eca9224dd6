"""One policy a dependency: deadline (inherited) > retry > breaker > timeout > call; fallbacks stand with the caller."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from netra_sim.backend.reliability.breaker import BareBreaker, Breaker, BreakerLike, State
from netra_sim.backend.reliability.deadline import remaining
from netra_sim.backend.reliability.retry import Backoff, BareBudget, Budget, BudgetLike
from netra_sim.kernel.clock import Clock

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """A dependency's figures in seconds (reference, section 7): an attempt's timeout, tries, backoff, breaker pause."""

    timeout: float
    tries: int
    backoff: float
    backoff_cap: float
    pause: float
    pause_cap: float


TABLE: dict[str, Row] = {
    "postgres": Row(2.0, 3, 0.05, 1.0, 1.0, 5.0),
    "redis": Row(0.25, 2, 0.02, 0.02, 1.0, 5.0),
    "clickhouse": Row(5.0, 2, 0.2, 0.2, 2.0, 10.0),
    "llm": Row(30.0, 3, 0.5, 8.0, 5.0, 30.0),
    "llm_fallback": Row(30.0, 2, 0.5, 0.5, 5.0, 30.0),
    "tool": Row(10.0, 2, 0.2, 0.2, 2.0, 10.0),
}


BUDGET_WINDOW = 10.0  # seconds
BREAKER_OPEN = "breaker open"  # the cause, when no call went out


class Unavailable(Exception):
    """A dependency could not be used; `retry_after` says when to try again, in seconds.

    `unsure` when what was asked of it may have been done all the same.
    """

    unsure = False

    def __init__(self, dependency: str, attempts: int, cause: str, retry_after: float) -> None:
        super().__init__(f"{dependency} unavailable after {attempts} attempts: {cause}")
        self.dependency, self.attempts, self.cause, self.retry_after = dependency, attempts, cause, retry_after


class Policy:
    """Runs calls to one dependency under its protections."""

    def __init__(
        self,
        dependency: str,
        row: Row,
        *,
        clock: Clock,
        rng: random.Random,
        transient: Callable[[BaseException], bool],
        without: Collection[str] = (),
        scale: float = 1.0,
        tell: Callable[[str, State], None] = lambda _d, _s: None,
    ) -> None:
        self.dependency = dependency
        self._clock, self._rng, self._transient = clock, rng, transient
        self._obeys_deadline = "deadline" not in without
        self._timeout = math.inf if "timeout" in without else row.timeout * scale
        tries = 1 if "retry" in without else row.tries
        self._backoff = Backoff(tries, row.backoff * scale, row.backoff_cap * scale)
        self._budget: BudgetLike = BareBudget() if "budget" in without else Budget(clock, BUDGET_WINDOW * scale)
        self.breaker: BreakerLike = (
            BareBreaker()
            if "breaker" in without
            else Breaker(row.pause * scale, row.pause_cap * scale, clock, lambda state: tell(dependency, state))
        )
        self.pause = row.pause * scale

    async def run(self, call: Callable[[], Awaitable[T]], *, repeatable: bool = True) -> T:
        """The call's result; Unavailable when it failed for a passing reason and no attempt is left.

        An error that is no passing one goes through at once. `repeatable` is False for calls without a key.
        """
        self._budget.called()
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(call)
            except Refused as error:
                raise Unavailable(self.dependency, attempt - 1, BREAKER_OPEN, error.wait) from error
            except Late as error:
                raise Unavailable(self.dependency, attempt - 1, "deadline passed", self.pause) from error
            except BaseException as error:
                if not self._transient(error):
                    raise
                wait = self._next(attempt, error, repeatable=repeatable)
                if wait is None:
                    raise Unavailable(self.dependency, attempt, _name(error), self.pause) from error
            await self._clock.sleep(wait)

    def _next(self, attempt: int, error: BaseException, *, repeatable: bool) -> float | None:
        wait = self._backoff.wait(attempt, self._rng) if repeatable else None
        if wait is None:
            return None
        wait = max(wait, float(getattr(error, "retry_after", 0.0)))
        if wait >= self._remaining() or not self._budget.grant():
            return None
        return wait

    async def _attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        wait = self.breaker.admit()
        if wait > 0:
            raise Refused(wait)
        probe = self.breaker.state == "half_open"  # only the probe is admitted then
        limit = min(self._timeout, self._remaining())
        if limit <= 0:  # our time is up, which says nothing about the dependency
            self.breaker.abandon(probe=probe)
            raise Late
        try:
            async with asyncio.timeout(None if math.isinf(limit) else limit) as within:
                result = await call()
        except asyncio.CancelledError:
            self.breaker.abandon(probe=probe)
            raise
        except Exception as error:
            if within.expired() and limit < self._timeout:  # cut by what was left of our own time
                self.breaker.abandon(probe=probe)
            else:
                self.breaker.record(ok=not self._transient(error), probe=probe)
            raise
        self.breaker.record(ok=True, probe=probe)
        return result

    def _remaining(self) -> float:
        return remaining() if self._obeys_deadline else math.inf


class Refused(Exception):
    """The breaker is open; `wait` is the time to its next probe in seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(wait)
        self.wait = wait


class Late(Exception):
    """The inherited deadline had passed before the call went out."""


def _name(error: BaseException) -> str:
    return type(error).__name__
