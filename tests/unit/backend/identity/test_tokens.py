import time
from typing import Any

import jwt
import pytest

from netra_sim.backend.config import Settings
from netra_sim.backend.errors import PlatformError
from netra_sim.backend.identity.tokens import ALGORITHM, PERMISSIONS, Key, Tokens

SETTINGS = Settings(postgres_url="p", redis_url="r", llm_url="l")
KEY, OTHER = Key.generate(), Key.generate()


@pytest.fixture
def tokens() -> Tokens:
    return Tokens([KEY], SETTINGS)


def claims(**changes: Any) -> dict[str, Any]:
    now = time.time()
    good = {
        "sub": "u", "email": "e", "tier": "mid", "sid": "s", "jti": "j", "iat": now, "nbf": now, "exp": now + 900,
        "iss": "netra", "aud": "netra-platform",
    }  # fmt: skip
    return {k: v for k, v in {**good, **changes}.items() if v is not None}


def signed(key: Key = KEY, kid: str | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key.private, ALGORITHM, headers={"kid": kid or key.kid})


def tampered(token: str, part: int) -> str:
    parts = token.split(".")
    middle = len(parts[part]) // 2
    letter = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + letter + parts[part][middle + 1 :]
    return ".".join(parts)


def code(tokens: Tokens, token: str) -> str:
    with pytest.raises(PlatformError) as told:
        tokens.verify(token)
    return told.value.code


def test_what_was_signed_is_verified(tokens: Tokens):
    token, life = tokens.sign("u", "e@x.y", "early", "s")
    who = tokens.verify(token)
    assert (who.user_id, who.session_id, who.email, who.tier) == ("u", "s", "e@x.y", "early")
    assert who.expires == pytest.approx(time.time() + life, abs=5)
    assert life == 900
    payload = jwt.decode(token, options={"verify_signature": False})
    assert payload["permissions"] == PERMISSIONS["early"]
    assert {"sub", "email", "tier", "permissions", "sid", "jti", "iat", "nbf", "exp", "iss", "aud"} == payload.keys()


def test_two_tokens_differ(tokens: Tokens):
    assert tokens.sign("u", "e", "free", "s") != tokens.sign("u", "e", "free", "s")


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_tampered_part_is_refused(tokens: Tokens, part: int):
    assert code(tokens, tampered(signed(), part)) == "token_invalid"


@pytest.mark.parametrize("token", ["x", "a.b.c", "..", "malformed", "é.é.é", "x" * 10_000])
def test_what_is_no_token_is_refused(tokens: Tokens, token: str):
    assert code(tokens, token) == "token_invalid"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exp": time.time() - 61}, "token_expired"),
        ({"nbf": time.time() + 86_400}, "token_invalid"),  # long after the whole run of the tests
        ({"iss": "another"}, "token_invalid"),
        ({"aud": "another"}, "token_invalid"),
        ({"exp": "soon"}, "token_invalid"),
        *(({name: None}, "token_invalid") for name in ("sub", "sid", "tier", "jti", "iat", "nbf", "exp", "iss", "aud")),
    ],
)
def test_wrong_claims_are_refused(tokens: Tokens, changes: dict[str, Any], expected: str):
    assert code(tokens, signed(**changes)) == expected


def test_a_skew_of_a_minute_is_forgiven(tokens: Tokens):
    tokens.verify(signed(exp=time.time() - 50))
    tokens.verify(signed(nbf=time.time() + 50))


def test_a_wrong_clock_signs_and_judges_by_its_own_time(tokens: Tokens):
    fast, slow = (Tokens([KEY], SETTINGS.model_copy(update={"clock_offset": by})) for by in (3600.0, -3600.0))
    early, late = (each.sign("u", "e", "free", "s")[0] for each in (fast, slow))
    assert fast.verify(early).expires == pytest.approx(time.time() + 3600 + 900, abs=5)
    assert (code(tokens, early), code(tokens, late)) == ("token_invalid", "token_expired")
    assert (code(fast, signed()), code(slow, signed())) == ("token_expired", "token_invalid")
    assert code(tokens, signed(iat=time.time() + 86_400)) == "token_invalid"


def test_an_unknown_key_and_a_wrong_key_under_a_known_name_are_refused(tokens: Tokens):
    assert code(tokens, signed(OTHER)) == "token_invalid"
    assert code(tokens, signed(OTHER, kid=KEY.kid)) == "token_invalid"


def test_the_algorithm_is_ours_to_choose(tokens: Tokens):
    none = jwt.encode(claims(), None, "none", headers={"kid": KEY.kid})
    shared = jwt.encode(claims(), "a secret that is long enough to be one", "HS256", headers={"kid": KEY.kid})
    nameless = jwt.encode(claims(), KEY.private, ALGORITHM)
    assert {code(tokens, token) for token in (none, shared, nameless)} == {"token_invalid"}


def test_the_newest_key_signs_and_older_ones_still_verify():
    both = Tokens([OTHER, KEY], SETTINGS)
    assert jwt.get_unverified_header(both.sign("u", "e", "free", "s")[0])["kid"] == KEY.kid
    assert both.verify(signed(OTHER)).user_id == "u"


def test_the_key_set_verifies_for_others(tokens: Tokens):
    token, _ = tokens.sign("u", "e", "free", "s")
    keys = jwt.PyJWKSet.from_dict(tokens.jwks())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key, [ALGORITHM], audience="netra-platform")["sub"] == "u"
    (public,) = tokens.jwks()["keys"]
    assert "d" not in public
    assert (public["kty"], public["crv"], public["alg"], public["use"]) == ("EC", "P-256", "ES256", "sig")


def test_a_key_survives_its_store():
    again = Key.from_pem(KEY.kid, KEY.pem())
    assert again.public_jwk() == KEY.public_jwk()


def test_lives_scale():
    scaled = Tokens([KEY], SETTINGS.model_copy(update={"time_scale": 0.1}))
    assert scaled.sign("u", "e", "free", "s")[1] == 90
    assert code(scaled, signed(exp=time.time() - 10)) == "token_expired"
