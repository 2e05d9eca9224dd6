"""Access tokens: ES256 with a key id; keys stand in Postgres so that every worker signs and verifies alike.

JSON Web Token: RFC 7519; key sets: RFC 7517; algorithm confusion: RFC 8725, section 3.1.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from netra_sim.backend.config import Settings, Tier
from netra_sim.backend.errors import PlatformError
from netra_sim.backend.identity.messages import Principal

ALGORITHM = "ES256"
PERMISSIONS: dict[Tier, list[str]] = {
    "free": ["chat"],
    "early": ["chat", "tools"],
    "mid": ["chat", "tools", "export"],
    "enterprise": ["chat", "tools", "export", "admin"],
}


@dataclass(frozen=True, slots=True)
class Key:
    """One signing key pair with its id."""

    kid: str
    private: ec.EllipticCurvePrivateKey

    @staticmethod
    def generate() -> Key:
        """A new P-256 key."""
        return Key(secrets.token_hex(8), ec.generate_private_key(ec.SECP256R1()))

    @staticmethod
    def from_pem(kid: str, pem: str) -> Key:
        """The key of a stored row."""
        private = serialization.load_pem_private_key(pem.encode(), None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError(f"key {kid} is not an elliptic-curve key")
        return Key(kid, private)

    def pem(self) -> str:
        """The private key, for the store."""
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.private.private_bytes(encoding, form, serialization.NoEncryption()).decode()

    def public_jwk(self) -> dict[str, Any]:
        """The public half as a JSON Web Key."""
        jwk = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "use": "sig", "alg": ALGORITHM}


class Tokens:
    """Signs with the newest key, verifies with any that is known."""

    def __init__(self, keys: list[Key], settings: Settings) -> None:
        self._keys = {key.kid: key for key in keys}
        self._newest = keys[-1]
        self._public = {key.kid: key.private.public_key() for key in keys}
        self._settings = settings

    def sign(self, user_id: str, email: str, tier: Tier, session_id: str) -> tuple[str, float]:
        """An access token and its life in seconds."""
        s, now = self._settings, self._settings.wall()
        life = s.scaled(s.access_life)
        claims = {
            "sub": user_id, "email": email, "tier": tier, "permissions": PERMISSIONS[tier], "sid": session_id,
            "jti": str(uuid.uuid4()), "iat": now, "nbf": now, "exp": now + life, "iss": s.issuer, "aud": s.audience,
        }  # fmt: skip
        return jwt.encode(claims, self._newest.private, ALGORITHM, headers={"kid": self._newest.kid}), life

    def verify(self, token: str) -> Principal:
        """The principal of a token; PlatformError `token_expired` or `token_invalid` (field `reason`)."""
        s = self._settings
        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
            if kid not in self._public:
                raise PlatformError("token_invalid", reason="its key id is not known")
            claims = jwt.decode(
                token, self._public[kid], [ALGORITHM], audience=s.audience, issuer=s.issuer,
                options={
                    "require": ["sub", "sid", "tier", "jti", "iat", "nbf", "exp", "iss", "aud"],
                    "verify_exp": False, "verify_nbf": False, "verify_iat": False,  # by this worker's clock: below
                },
            )  # fmt: skip
            _check_times(claims, s.wall(), s.scaled(s.clock_skew))
        except jwt.ExpiredSignatureError as error:
            raise PlatformError("token_expired") from error
        except jwt.InvalidTokenError as error:
            raise PlatformError("token_invalid", reason=str(error)) from error
        return Principal(claims["sub"], claims["sid"], claims.get("email", ""), claims["tier"], claims["exp"])

    def jwks(self) -> dict[str, Any]:
        """The key set that others verify with."""
        return {"keys": [key.public_jwk() for key in self._keys.values()]}


def _check_times(claims: dict[str, Any], now: float, leeway: float) -> None:
    """The library asks the machine's clock; errors are its own. RFC 7519, sections 4.1.4 to 4.1.6."""
    for name in ("exp", "nbf", "iat"):
        if not isinstance(claims[name], int | float):
            raise jwt.DecodeError(f"{name} is not a time")
    if claims["exp"] <= now - leeway:
        raise jwt.ExpiredSignatureError("it has expired")
    if max(claims["nbf"], claims["iat"]) > now + leeway:
        raise jwt.ImmatureSignatureError("it is not valid yet")
