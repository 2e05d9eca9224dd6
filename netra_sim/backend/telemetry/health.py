"""Liveness, readiness and the state of each dependency with its cause and since when."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from netra_sim.backend.reliability.breaker import BreakerLike, State
from netra_sim.kernel.clock import Clock

log = logging.getLogger("netra.health")
Probe = Callable[[], Awaitable[bool]]
AFFECTED = {
    "postgres": "messages cannot be stored",
    "redis": "sign-in checks and events take a little longer",
    "llm": "answers come from a simpler model",
    "llm_fallback": "answers come from rules, without a model behind the first one",
    "tool": "answers lack figures from your data",
    "clickhouse": "answers lack figures from your data",
}


def _nobody(_level: str, _affected: list[str]) -> None:
    """Nobody is told."""


@dataclass
class Health:
    """What the breakers told, and probes that ask the dependencies themselves; `critical` ones decide readiness."""

    probes: dict[str, Probe]
    critical: frozenset[str] = frozenset({"postgres"})
    breakers: Mapping[str, BreakerLike] = field(default_factory=dict)
    gauges: Callable[[], dict[str, object]] = dict
    tell: Callable[[str, list[str]], None] = _nobody
    _since: dict[str, tuple[State, float]] = field(default_factory=dict)
    _told: str = "normal"

    def breaker_changed(self, dependency: str, state: State) -> None:
        """A breaker's observer: remember the state and when it began; users are told when the level changes."""
        self._since[dependency] = (state, time.time())
        log.info("breaker", extra={"dependency": dependency, "state": state})
        self._look()

    async def watch(self, clock: Clock, every: float) -> None:
        """Tell users, each `every` seconds, what has changed by time alone."""
        while True:
            await clock.sleep(every)
            self._look()

    def _look(self) -> None:
        if (now := self.level()) != self._told:
            self._told = now
            self.tell(now, self.affected())

    def level(self) -> str:
        """The degradation level by the dependencies that fail, as far as is known; none is asked."""
        return level(len(self._failing()), len(self.breakers))

    def affected(self) -> list[str]:
        """What users will notice, in plain words."""
        return list(dict.fromkeys(AFFECTED.get(name, name) for name in self._failing()))

    def refuses(self) -> float:
        """Seconds for which new runs are refused: at `minimal`, until a breaker lets a probe through; else 0."""
        if self.level() != "minimal":
            return 0.0
        return min(self.breakers[name].wait() for name in self._failing())

    def state(self) -> dict[str, object]:
        """Level, breakers and gauges as this worker knows them, without any I/O."""
        breakers = {name: breaker.state for name, breaker in self.breakers.items()}
        return {"level": self.level(), "breakers": breakers, **self.gauges()}

    def _failing(self) -> list[str]:
        return [name for name, breaker in self.breakers.items() if breaker.failing]

    async def report(self) -> dict[str, object]:
        """Each dependency's answer now, its breaker, and the level of the whole."""
        parts = {}
        for name, probe in self.probes.items():
            state, since = self._since.get(name, ("closed", None))
            parts[name] = {"ok": await probe(), "critical": name in self.critical, "breaker": state, "since": since}
        failing = [name for name, part in parts.items() if not part["ok"]]
        return {"level": level(len(failing), len(parts)), "failing": failing, "dependencies": parts}

    def routes(self) -> list[Route]:
        """/health/live, /health/ready, /health/state and /health."""
        return [
            Route("/health/live", _live), Route("/health/ready", self._ready), Route("/health/state", self._state),
            Route("/health", self._whole),
        ]  # fmt: skip

    async def _ready(self, _request: Request) -> Response:
        report = await self.report()
        ready = not set(report["failing"]) & self.critical  # type: ignore[call-overload]
        return JSONResponse({"ready": ready, "failing": report["failing"]}, status_code=200 if ready else 503)

    async def _state(self, _request: Request) -> Response:
        return JSONResponse(self.state())

    async def _whole(self, _request: Request) -> Response:
        return JSONResponse(await self.report())


def level(failing: int, known: int) -> str:
    """Degradation by failing dependencies: none, one, under half, more (reference, section 7)."""
    if failing == 0:
        return "normal"
    if failing == 1:
        return "partial"
    return "degraded" if failing * 2 < known else "minimal"


async def _live(_request: Request) -> Response:
    return JSONResponse({"live": True})
