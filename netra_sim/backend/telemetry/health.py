"""Liveness, readiness and the state of each dependency with its cause and since when."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from netra_sim.backend.reliability.breaker import State

log = logging.getLogger("netra.health")
Probe = Callable[[], Awaitable[bool]]


@dataclass
class Health:
    """What the breakers told, and probes that ask the dependencies themselves; `critical` ones decide readiness."""

    probes: dict[str, Probe]
    critical: frozenset[str] = frozenset({"postgres"})
    _since: dict[str, tuple[State, float]] = field(default_factory=dict)

    def breaker_changed(self, dependency: str, state: State) -> None:
        """A breaker's observer: remember the state and when it began."""
        self._since[dependency] = (state, time.time())
        log.info("breaker", extra={"dependency": dependency, "state": state})

    async def report(self) -> dict[str, object]:
        """Each dependency's answer now, its breaker, and the level of the whole."""
        parts = {}
        for name, probe in self.probes.items():
            state, since = self._since.get(name, ("closed", None))
            parts[name] = {"ok": await probe(), "critical": name in self.critical, "breaker": state, "since": since}
        failing = [name for name, part in parts.items() if not part["ok"]]
        return {"level": level(len(failing), len(parts)), "failing": failing, "dependencies": parts}

    def routes(self) -> list[Route]:
        """/health/live, /health/ready and /health."""
        return [Route("/health/live", _live), Route("/health/ready", self._ready), Route("/health", self._whole)]

    async def _ready(self, _request: Request) -> Response:
        report = await self.report()
        ready = not set(report["failing"]) & self.critical  # type: ignore[call-overload]
        return JSONResponse({"ready": ready, "failing": report["failing"]}, status_code=200 if ready else 503)

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
