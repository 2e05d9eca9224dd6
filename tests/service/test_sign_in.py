"""Sign-in on the real worker process: accounts, tokens, sessions."""

import asyncio
from typing import Any

import jwt
import pytest

from netra_sim.backend.identity.tokens import ALGORITHM
from tests.service.visitor import PASSWORD, User, Worker

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def post(worker: Worker, path: str, user: User | None = None, **body: Any) -> tuple[int, dict[str, Any]]:
    async with worker.http(user) as http:
        answer = await http.post(path, json=body)
    return answer.status_code, answer.json() if answer.content else {}


async def me(worker: Worker, user: User) -> int:
    async with worker.http(user) as http:
        return (await http.get("/auth/me")).status_code


async def test_sign_up_log_in_and_who_am_i(worker: Worker):
    user = await worker.sign_up()
    status, told = await post(worker, "/auth/login", email=user.email.upper(), password=PASSWORD)
    assert (status, told["user_id"], told["tier"], told["expires_in"]) == (200, user.user_id, "free", 90)
    async with worker.http(user) as http:
        assert (await http.get("/auth/me")).json()["email"] == user.email
    status, told = await post(worker, "/auth/signup", email=user.email, password=PASSWORD)
    assert (status, told["code"], told["field"]) == (409, "email_taken", "email")
    for email, password in ((user.email, "wrong password"), ("nobody@example.test", PASSWORD)):
        status, told = await post(worker, "/auth/login", email=email, password=password)
        assert (status, told["code"]) == (401, "wrong_credentials")


async def test_refresh_rotates_and_reuse_closes_the_whole_session(worker: Worker):
    user = await worker.sign_up()
    status, told = await post(worker, "/auth/refresh", refresh_token=user.refresh)
    assert status == 200
    second = User(user.email, user.user_id, told["access_token"], told["refresh_token"])
    assert await me(worker, second) == 200
    status, told = await post(worker, "/auth/refresh", refresh_token=user.refresh)
    assert (status, told["code"]) == (401, "token_reused")
    status, told = await post(worker, "/auth/refresh", refresh_token=second.refresh)
    assert (status, told["code"]) == (401, "session_revoked")
    assert [await me(worker, u) for u in (user, second)] == [401, 401]
    assert (await worker.refused(second.access)) == (4403, "session_revoked")
    status, told = await post(worker, "/auth/refresh", refresh_token="never given out")
    assert (status, told["code"]) == (401, "token_invalid")


async def test_of_two_refreshes_at_once_one_wins_and_the_other_is_a_reuse(worker: Worker):
    user = await worker.sign_up()
    both = await asyncio.gather(*(post(worker, "/auth/refresh", refresh_token=user.refresh) for _ in range(2)))
    assert sorted(status for status, _ in both) == [200, 401]


async def test_logout_closes_the_door_of_this_session_only(worker: Worker):
    user = await worker.sign_up()
    _, told = await post(worker, "/auth/login", email=user.email, password=PASSWORD)
    other = User(user.email, user.user_id, told["access_token"], told["refresh_token"])
    assert (await post(worker, "/auth/logout", user))[0] == 204
    assert await me(worker, user) == 401
    assert await worker.refused(user.access) == (4403, "session_revoked")
    status, told = await post(worker, "/auth/refresh", refresh_token=user.refresh)
    assert (status, told["code"]) == (401, "session_revoked")
    assert await me(worker, other) == 200


async def test_anyone_can_verify_a_token_with_the_published_keys(worker: Worker):
    user = await worker.sign_up()
    async with worker.http() as http:
        keys = jwt.PyJWKSet.from_dict((await http.get("/.well-known/jwks.json")).json())
    key = keys[jwt.get_unverified_header(user.access)["kid"]]
    claims = jwt.decode(user.access, key, [ALGORITHM], audience="netra-platform", issuer="netra")
    assert (claims["sub"], claims["email"], claims["tier"]) == (user.user_id, user.email, "free")
