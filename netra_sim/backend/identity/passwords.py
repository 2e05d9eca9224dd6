"""Password hashing, off the event loop: Argon2id (RFC 9106)."""

from __future__ import annotations

import asyncio
import functools

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)  # OWASP's minimum for Argon2id


@functools.cache
def _nobody() -> str:
    """Verified where there is no account, so that the time an answer takes does not tell which e-mails exist."""
    return _hasher.hash("nobody's password")


async def hash_password(password: str) -> str:
    """The hash to store."""
    return await asyncio.to_thread(_hasher.hash, password)


async def matches(stored: str | None, password: str) -> bool:
    """True when `password` is the one behind `stored`; takes as long when there is no account."""

    def verify() -> bool:
        try:
            return _hasher.verify(stored or _nobody(), password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    return await asyncio.to_thread(verify)
