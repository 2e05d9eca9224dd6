"""The HTTP side of a user: sign up, log in, refresh, log out, read a thread."""

from __future__ import annotations

import asyncio
import functools
import ssl
from dataclasses import dataclass
from typing import Any

import httpx

from netra_sim.kernel.clock import Clock
from netra_sim.users import wire
from netra_sim.users.persona import Account
from netra_sim.users.record import Actor, Op

REFRESH_AT = 0.8  # of an access token's life


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the platform is and how patient users are; deadlines in seconds, already scaled.

    A user waits `patience` times the deadline before he gives up: a request held too long is measured, not hidden.
    """

    base_url: str
    deadline_s: float
    chat_deadline_s: float
    time_scale: float = 1.0
    patience: float = 6.0
    heartbeat_s: float = 25.0  # before time scale; 0 never asks whether the server is still there
    backoff: bool = True  # wait longer after each failed reconnect, each user for another time
    send_tries: int = 3

    @property
    def wait_s(self) -> float:
        """How long a user waits for a request's answer."""
        return self.patience * self.deadline_s


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a request: its outcome and, where it was answered, the answer."""

    outcome: str  # ok | fail | unknown
    status: int | None = None
    code: str = ""
    retry_after_s: float = 0.0
    body: Any = None


class Api:
    """One user's HTTP client and his tokens."""

    def __init__(self, settings: Settings, who: Account, actor: Actor, clock: Clock) -> None:
        """Nothing is opened before the first request."""
        self._settings, self._who, self._actor, self._clock = settings, who, actor, clock
        self._client: httpx.AsyncClient | None = None
        self._renewing = asyncio.Lock()
        self._refresh_token, self._renew_at_ns = "", 0
        self.token, self.user_id = "", ""

    async def signup(self) -> Told:
        """Open the account."""
        body = {"email": self._who.email, "password": self._who.password, "name": self._who.name}
        op = self._actor.invoke("signup", email=self._who.email, deadline_s=self._settings.deadline_s)
        return await self._sign(op, "/auth/signup", body)

    async def login(self) -> Told:
        """Sign in."""
        body = {"email": self._who.email, "password": self._who.password}
        op = self._actor.invoke("login", email=self._who.email, deadline_s=self._settings.deadline_s)
        return await self._sign(op, "/auth/login", body)

    def expired(self) -> None:
        """The server says that the access token has run out: the next `renew` is due."""
        self._renew_at_ns = 0

    async def renew(self) -> None:
        """Refresh a token near the end of its life; where that cannot be done now, the old one stays."""
        async with self._renewing:
            if self._clock.now_ns() < self._renew_at_ns:
                return
            if self._refresh_token:
                op = self._actor.invoke("refresh", deadline_s=self._settings.deadline_s)
                told = await self._sign(op, "/auth/refresh", {"refresh_token": self._refresh_token})
                if told.outcome == "ok" or (told.outcome == "fail" and told.status in (None, 429, 503)):
                    return
                self._refresh_token = ""  # it may have been used: a second use would close the whole session
            await self.login()

    async def logout(self) -> Told:
        """Sign out."""
        op = self._actor.invoke("logout", deadline_s=self._settings.deadline_s)
        told = await self._ask(op, "POST", "/auth/logout", headers=wire.header(self.token))
        if told.outcome == "ok":
            op.ok()
        return told

    async def read_thread(self, thread_id: str) -> Told:
        """Read a thread's first page; its answers are recorded by their `runs`, canaries of others as `foreign`."""
        await self.renew()
        op = self._actor.invoke("history", thread_id=thread_id, deadline_s=self._settings.deadline_s)
        told = await self._ask(op, "GET", f"/threads/{thread_id}/messages?limit=100", headers=wire.header(self.token))
        if told.outcome == "ok":
            op.ok(status=told.status, **_page(told.body), foreign=wire.foreign(str(told.body), self._who.canary))
        return told

    async def aclose(self) -> None:
        """Close the client, if one was opened."""
        if self._client is not None:
            await self._client.aclose()

    async def _sign(self, op: Op, path: str, body: dict[str, str]) -> Told:
        told = await self._ask(op, "POST", path, json=body)
        if told.outcome != "ok":
            return told
        try:
            answer = told.body
            self.token, self._refresh_token = answer["access_token"], answer["refresh_token"]
            self.user_id = str(answer["user_id"])
            life_ns = float(answer["expires_in"]) * 1e9
        except (KeyError, TypeError, ValueError) as error:
            op.unknown("bad_answer", f"an answer without {error}")
            return Told("unknown", told.status, "bad_answer")
        self._renew_at_ns = self._clock.now_ns() + int(REFRESH_AT * life_ns)
        op.ok(user_id=self.user_id, tier=answer.get("tier"))
        return told

    async def _ask(self, op: Op, method: str, path: str, **request: Any) -> Told:
        """Send a request and complete its op, unless it went well."""
        try:
            # httpx times out each read and write by itself; the user's patience is for the whole.
            async with asyncio.timeout(self._settings.wait_s):
                response = await self._http().request(method, path, **request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return _not_sent(op, error)
        except (httpx.TransportError, TimeoutError) as error:
            code = "timeout" if isinstance(error, TimeoutError | httpx.TimeoutException) else "connection_lost"
            op.unknown(code, str(error) or type(error).__name__)
            return Told("unknown", code=code)
        told = told_by(response)
        if told.outcome == "fail":
            op.fail(told.code, _detail(told), status=told.status)
        elif told.outcome == "unknown":
            op.unknown(told.code, _detail(told), status=told.status)
        return told

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._settings.base_url,
                verify=_tls(self._settings.base_url.startswith("https")),
                trust_env=False,
                timeout=httpx.Timeout(None, connect=0.9 * self._settings.wait_s),
                limits=httpx.Limits(max_connections=2, max_keepalive_connections=1, keepalive_expiry=2.0),
            )
        return self._client


def told_by(response: httpx.Response) -> Told:
    """What a response says: 4xx and 503 are refusals, any other 5xx leaves open whether it was done."""
    try:
        body = response.json() if response.content else None
    except ValueError:
        body = None
    status = response.status_code
    if status < 400:
        readable = body is not None or status == 204
        return Told("ok", status, body=body) if readable else Told("unknown", status, "bad_answer")
    code = body.get("code") if isinstance(body, dict) else None
    outcome = "fail" if status < 500 or status == 503 else "unknown"
    return Told(outcome, status, str(code or f"http_{status}"), _seconds(response.headers.get("retry-after")), body)


def _page(body: Any) -> dict[str, Any]:
    """How many messages a page of a thread has, the runs of its answers, and whether there are more pages."""
    page = body if isinstance(body, dict) else {}
    messages = page.get("messages") or ()
    runs = [m.get("run_id") for m in messages if isinstance(m, dict) and m.get("role") == "assistant"]
    return {"messages": len(messages), "runs": runs, "more": page.get("next") is not None}


def _not_sent(op: Op, error: httpx.TransportError) -> Told:
    op.fail("not_connected", str(error) or type(error).__name__)
    return Told("fail", code="not_connected")


def _detail(told: Told) -> str:
    return str(told.body.get("detail", "")) if isinstance(told.body, dict) else ""


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0


@functools.cache
def _tls(needed: bool) -> ssl.SSLContext:
    """One context for all users; the one for plain HTTP is empty, since loading certificates takes 10 ms."""
    return ssl.create_default_context() if needed else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
