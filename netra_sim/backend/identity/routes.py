"""HTTP routes of identity."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from netra_sim.backend.http import bearer, body
from netra_sim.backend.identity.accounts import Accounts

_EMAIL = re.compile(r"[^@\s\x00]+@[^@\s\x00]+\.[^@\s\x00]+")


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise ValueError("an e-mail address, such as ada@example.com")
    return text.lower()


Email = Annotated[str, Field(max_length=254), AfterValidator(_email)]


class SignUp(BaseModel):
    """Body of /auth/signup."""

    model_config = ConfigDict(extra="forbid")
    email: Email
    password: str = Field(min_length=8, max_length=200)
    name: str = Field("", max_length=200, pattern=r"^[^\x00]*$")


class Login(BaseModel):
    """Body of /auth/login."""

    model_config = ConfigDict(extra="forbid")
    email: Email
    password: str = Field(max_length=200)


class Refresh(BaseModel):
    """Body of /auth/refresh."""

    model_config = ConfigDict(extra="forbid")
    refresh_token: str = Field(max_length=200)


def routes(accounts: Accounts) -> list[Route]:
    """All routes of identity."""

    async def sign_up(request: Request) -> Response:
        given = await body(request, SignUp)
        pair = await accounts.sign_up(given.email, given.password, given.name)
        return JSONResponse(asdict(pair), status_code=201)

    async def login(request: Request) -> Response:
        given = await body(request, Login)
        return JSONResponse(asdict(await accounts.login(given.email, given.password)))

    async def refresh(request: Request) -> Response:
        given = await body(request, Refresh)
        return JSONResponse(asdict(await accounts.refresh(given.refresh_token)))

    async def logout(request: Request) -> Response:
        await accounts.logout(await accounts.authenticate(bearer(request.headers)))
        return Response(status_code=204)

    async def me(request: Request) -> Response:
        return JSONResponse(asdict(await accounts.authenticate(bearer(request.headers))))

    async def jwks(_request: Request) -> Response:
        return JSONResponse(accounts.tokens.jwks())

    return [
        Route("/auth/signup", sign_up, methods=["POST"]),
        Route("/auth/login", login, methods=["POST"]),
        Route("/auth/refresh", refresh, methods=["POST"]),
        Route("/auth/logout", logout, methods=["POST"]),
        Route("/auth/me", me),
        Route("/.well-known/jwks.json", jwks),
    ]
