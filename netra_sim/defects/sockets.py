"""Defects between the stream and the client."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jwt
from starlette.types import Scope

from netra_sim.backend.chat.gateway import credentials, welcome
from netra_sim.backend.chat.socket import Socket
from netra_sim.backend.config import Settings
from netra_sim.backend.identity.messages import Principal
from netra_sim.backend.identity.tokens import Tokens
from netra_sim.backend.parts import Parts

EVERY = 10  # each tenth frame of a stream is struck


def event_dropped(parts: Parts) -> Parts:
    """Some durable frames never reach the client."""

    class Dropping(Socket):
        def durable(self, seq: int, frame: bytes) -> None:
            if seq % EVERY:
                super().durable(seq, frame)

    return replace(parts, socket=Dropping)


def event_sent_twice(parts: Parts) -> Parts:
    """Some durable frames reach the client twice."""

    class Repeating(Socket):
        def durable(self, seq: int, frame: bytes) -> None:
            super().durable(seq, frame)
            if seq % EVERY == 0:
                super().durable(seq, frame)

    return replace(parts, socket=Repeating)


def replay_forgotten(parts: Parts) -> Parts:
    """A client that comes back is served from now on: what happened while it was away is never told."""

    class Forgetful(Socket):
        _returns = False

        def resume(self, last_seq: int) -> None:
            self._returns = last_seq > 0
            super().resume(last_seq)

        def newest(self, seq: int) -> None:
            if self._returns:
                self._returns = False
                super().resume(seq)
            super().newest(seq)

    return replace(parts, socket=Forgetful)


def standing_forgotten(parts: Parts) -> Parts:
    """The welcome knows nothing of a client that comes back: not how far its stream had come."""

    def strange(settings: Settings, who: Principal, connection_id: str, _last_seq: int) -> dict[str, Any]:
        return welcome(settings, who, connection_id, 0)

    return replace(parts, welcome=strange)


def welcome_without_limits(parts: Parts) -> Parts:
    """The welcome does not say which limits hold."""

    def bare(settings: Settings, who: Principal, connection_id: str, last_seq: int) -> dict[str, Any]:
        return {**welcome(settings, who, connection_id, last_seq), "config": {}}

    return replace(parts, welcome=bare)


def subprotocol_ignored(parts: Parts) -> Parts:
    """A token in the subprotocol is not looked at."""

    def header_only(scope: Scope) -> tuple[str | None, str | None]:
        return credentials({**scope, "subprotocols": []})

    return replace(parts, credentials=header_only)


def token_not_checked(parts: Parts) -> Parts:
    """A token's signature is not verified."""

    class Trusting(Tokens):
        def verify(self, token: str) -> Principal:
            claims = jwt.decode(token, options={"verify_signature": False})
            return Principal(claims["sub"], claims["sid"], claims["email"], claims["tier"], claims["exp"])

    return replace(parts, tokens=Trusting)
