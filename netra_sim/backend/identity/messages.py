"""What other capabilities may know of identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from netra_sim.backend.config import Tier


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the user, the session, and until when the token holds (epoch seconds)."""

    user_id: str
    session_id: str
    email: str
    tier: Tier
    expires: float


class Authenticate(Protocol):
    """Token in, principal out; PlatformError with the reason otherwise."""

    async def __call__(self, token: str | None) -> Principal:
        """Check signature, claims and that the session was not signed out."""
        ...
