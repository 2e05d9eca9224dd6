"""Circuit breaker: closed, open, half-open; after Nygard, Release It!, chapter 5."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

from netra_sim.kernel.clock import Clock

State = Literal["closed", "open", "half_open"]
WINDOW, ENOUGH, IN_A_ROW = 20, 10, 8


class BreakerLike(Protocol):
    """What a policy asks of a breaker."""

    @property
    def state(self) -> State:
        """Open while calls are refused, half-open while the next one, or one under way, will tell."""
        ...

    @property
    def failing(self) -> bool:
        """Whether the dependency is taken to fail."""
        ...

    def admit(self) -> float:
        """0 when a call may go out, else the seconds until the next probe."""
        ...

    def wait(self) -> float:
        """Seconds until a call may go out, 0 for now; changes nothing."""
        ...

    def record(self, *, ok: bool, probe: bool) -> None:
        """Count how an attempt ended; `probe` when it was admitted half-open."""
        ...

    def abandon(self, *, probe: bool) -> None:
        """An admitted attempt ended without telling anything about the dependency."""
        ...


class Breaker:
    """Opens at 50 % failures of the last 20 attempts (10 at least) or 8 in a row; pauses double to a cap."""

    def __init__(self, pause: float, cap: float, clock: Clock, tell: Callable[[State], None] = lambda _: None) -> None:
        self._state: State = "closed"
        self._pause, self._first, self._cap = pause, pause, cap
        self._clock, self._tell = clock, tell
        self._last: deque[bool] = deque(maxlen=WINDOW)
        self._row = 0
        self._until = 0

    @property
    def state(self) -> State:
        """Half-open from the end of the pause on, called or not: nobody knows more until the next call."""
        return "half_open" if self._state == "open" and not self.wait() else self._state

    @property
    def failing(self) -> bool:
        """Until it answers, or nobody has asked for its longest pause, though anybody might: older news is none."""
        return self._state != "closed" and self._clock.now_ns() < self._until + round(self._cap * 1e9)

    def admit(self) -> float:
        """Let a call out when closed; when open, one probe after the pause, and a further one if that one hangs."""
        if self._state == "closed":
            return 0.0
        if (wait := self.wait()) > 0:
            return wait
        self._enter("half_open")
        self._until = self._clock.now_ns() + round(self._first * 1e9)
        return 0.0

    def wait(self) -> float:
        """Seconds until a call may go out: the rest of the pause, or of the time that a probe under way is given."""
        return 0.0 if self._state == "closed" else max(0.0, (self._until - self._clock.now_ns()) / 1e9)

    def record(self, *, ok: bool, probe: bool = False) -> None:
        """A failed probe doubles the pause; a good one closes the breaker with a clean slate."""
        if probe and self._state == "half_open":
            self._close() if ok else self._open(min(self._pause * 2, self._cap))
            return
        if probe or self._state != "closed":  # it set out before another decided, or before the opening
            return
        self._last.append(ok)
        self._row = 0 if ok else self._row + 1
        failed = self._last.count(False)
        if self._row >= IN_A_ROW or (len(self._last) >= ENOUGH and failed * 2 >= len(self._last)):
            self._open(self._first)

    def abandon(self, *, probe: bool = False) -> None:
        """A cancelled probe leaves its place to the next call."""
        if probe and self._state == "half_open":
            self._until = self._clock.now_ns()

    def _open(self, pause: float) -> None:
        self._pause = pause
        self._until = self._clock.now_ns() + round(pause * 1e9)
        self._enter("open")

    def _close(self) -> None:
        self._last.clear()
        self._row, self._pause = 0, self._first
        self._enter("closed")

    def _enter(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._tell(state)


class BareBreaker:
    """No breaker: every call goes out."""

    state: State = "closed"
    failing = False

    def admit(self) -> float:
        """Always now."""
        return 0.0

    def wait(self) -> float:
        """Always now."""
        return 0.0

    def record(self, *, ok: bool, probe: bool = False) -> None:
        """Nothing is counted."""

    def abandon(self, *, probe: bool = False) -> None:
        """Nothing is held."""
