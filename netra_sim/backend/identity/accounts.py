"""Accounts and sessions in Postgres, with the session's state in the cache."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass

import asyncpg

from netra_sim.backend.config import Settings, Tier
from netra_sim.backend.errors import PlatformError
from netra_sim.backend.identity import passwords
from netra_sim.backend.identity.messages import Principal
from netra_sim.backend.identity.tokens import Key, Tokens
from netra_sim.backend.reliability.cache import Cache
from netra_sim.backend.store.database import Connection, Database


@dataclass(frozen=True, slots=True)
class Pair:
    """What a sign-in answers: who, and the two tokens; `expires_in` in seconds."""

    user_id: str
    tier: Tier
    access_token: str
    refresh_token: str
    expires_in: float


class Accounts:
    """Sign-up, login, refresh with rotation, logout, and the check of a session."""

    def __init__(self, database: Database, cache: Cache, tokens: Tokens, settings: Settings) -> None:
        self._db, self._cache, self.tokens, self._settings = database, cache, tokens, settings

    async def sign_up(self, email: str, password: str, name: str) -> Pair:
        """A new account on the free tier, signed in; PlatformError `email_taken`."""
        user, hashed = str(uuid.uuid4()), await passwords.hash_password(password)

        async def work(c: Connection) -> Pair:
            sql = "INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, $3, $4)"
            await c.execute(sql, user, email, name, hashed)
            return await self._new_session(c, user, email, "free")

        try:
            return await self._db.transaction(work)
        except asyncpg.UniqueViolationError as error:
            raise PlatformError("email_taken", field="email") from error

    async def login(self, email: str, password: str) -> Pair:
        """A new session; PlatformError `wrong_credentials`, whichever of the two is wrong."""
        row = await self._db.fetchrow("SELECT id, tier, password_hash FROM users WHERE email = $1", email)
        stored = row["password_hash"] if row else None
        if not await passwords.matches(stored, password) or row is None:
            raise PlatformError("wrong_credentials")
        return await self._db.transaction(lambda c: self._new_session(c, str(row["id"]), email, row["tier"]))

    async def refresh(self, token: str) -> Pair:
        """The next pair; a token that was used before ends its whole session (RFC 9700, section 4.14.2)."""

        async def work(c: Connection) -> Pair | str:
            row = await c.fetchrow(
                "SELECT t.session_id, t.used_at, t.expires_at < now() AS expired, s.revoked_at, u.id, u.email, u.tier "
                "FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id "
                "WHERE t.hash = $1 FOR UPDATE OF t",
                _hash(token),
            )
            if row is None or row["expired"]:
                raise PlatformError("token_invalid", field="refresh_token")
            session = str(row["session_id"])
            if row["revoked_at"] is not None:
                raise PlatformError("session_revoked")
            if row["used_at"] is not None:
                await c.execute("UPDATE sessions SET revoked_at = now() WHERE id = $1", session)
                return session
            await c.execute("UPDATE refresh_tokens SET used_at = now() WHERE hash = $1", _hash(token))
            return await self._pair(c, str(row["id"]), row["email"], row["tier"], session)

        answer = await self._db.transaction(work)
        if isinstance(answer, str):
            await self._revoked(answer)
            raise PlatformError("token_reused")
        return answer

    async def logout(self, who: Principal) -> None:
        """End the session: its refresh tokens and, everywhere, its access tokens are refused."""
        sql = "UPDATE sessions SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1"
        await self._db.fetch(sql, who.session_id)
        await self._revoked(who.session_id)

    async def authenticate(self, token: str | None) -> Principal:
        """The principal behind an access token whose session is still open."""
        if not token:
            raise PlatformError("no_token")
        who = self.tokens.verify(token)
        if not await self._is_open(who.session_id):
            raise PlatformError("session_revoked")
        return who

    async def _is_open(self, session: str) -> bool:
        async def load() -> str:
            row = await self._db.fetchrow("SELECT revoked_at FROM sessions WHERE id = $1", session)
            return "open" if row is not None and row["revoked_at"] is None else "revoked"

        return await self._cache.get(f"session:{session}", load, lambda state: f"session_{state}") == "open"

    async def _revoked(self, session: str) -> None:
        await self._cache.put(f"session:{session}", "revoked", "session_revoked")

    async def _new_session(self, c: Connection, user: str, email: str, tier: Tier) -> Pair:
        session = str(uuid.uuid4())
        await c.execute("INSERT INTO sessions (id, user_id) VALUES ($1, $2)", session, user)
        return await self._pair(c, user, email, tier, session)

    async def _pair(self, c: Connection, user: str, email: str, tier: Tier, session: str) -> Pair:
        refresh = secrets.token_urlsafe(32)
        life = self._settings.scaled(self._settings.refresh_life)
        await c.execute(
            "INSERT INTO refresh_tokens (hash, session_id, expires_at) "
            "VALUES ($1, $2, now() + make_interval(secs => $3))",
            _hash(refresh), session, life,
        )  # fmt: skip
        access, seconds = self.tokens.sign(user, email, tier, session)
        return Pair(user, tier, access, refresh, seconds)


async def signing_keys(database: Database) -> list[Key]:
    """The keys in use, oldest first; the first worker to ask makes the first one."""

    async def work(c: Connection) -> list[Key]:
        await c.execute("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")
        sql = "SELECT kid, private_pem FROM signing_keys WHERE retired_at IS NULL ORDER BY created_at"
        rows = await c.fetch(sql)
        if rows:
            return [Key.from_pem(row["kid"], row["private_pem"]) for row in rows]
        key = Key.generate()
        await c.execute("INSERT INTO signing_keys (kid, private_pem) VALUES ($1, $2)", key.kid, key.pem())
        return [key]

    return await database.transaction(work, repeatable=True)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
