"""The only wiring: settings -> parts -> routes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from netra_sim.backend import parts as parts_
from netra_sim.backend.agents import llm, rules
from netra_sim.backend.agents.step import Bench
from netra_sim.backend.agents.supervisor import Supervisor
from netra_sim.backend.chat import frames, threads
from netra_sim.backend.chat.gateway import Gateway
from netra_sim.backend.chat.hub import forever
from netra_sim.backend.chat.inbox import Inbox
from netra_sim.backend.chat.journal import Publisher
from netra_sim.backend.config import Settings
from netra_sim.backend.errors import PlatformError
from netra_sim.backend.http import RequestDeadline, problem
from netra_sim.backend.identity import routes as identity_routes
from netra_sim.backend.identity.accounts import Accounts, signing_keys
from netra_sim.backend.identity.tokens import Key
from netra_sim.backend.reliability.limiter import Limiter
from netra_sim.backend.reliability.policy import TABLE, Policy, Unavailable
from netra_sim.backend.store import columns, redis
from netra_sim.backend.store import database as postgres
from netra_sim.backend.store.columns import Columns
from netra_sim.backend.store.database import Database
from netra_sim.backend.telemetry.health import Health
from netra_sim.kernel.clock import Clock, SystemClock
from netra_sim.kernel.rng import Rng

log = logging.getLogger("netra.app")
LOOK, RETRY, ORPHANED = 2.0, 0.5, 5.0  # seconds before scaling
GONE = 3  # looks that miss a worker before its runs end: one that has only lost its connection is back by then


@contextlib.asynccontextmanager
async def platform(settings: Settings) -> AsyncIterator[ASGIApp]:
    """A running worker's application; everything it opened is closed at the end."""
    clock, parts = SystemClock(), parts_.load(settings.parts)
    health = Health({})
    policies = _policies(settings, clock, health)
    health.breakers = {name: policy.breaker for name, policy in policies.items()}
    connect_timeout = 60.0 if "timeout" in settings.without else settings.scaled(TABLE["postgres"].timeout)
    database = parts.database(settings.postgres_url, settings.pool_size, policies["postgres"], connect_timeout)
    store = parts.redis(settings.redis_url, settings.redis_prefix, policies["redis"], settings.replay_kept)
    logs = Columns(settings.clickhouse_url, policies["clickhouse"])
    falls_back = "fallback" not in settings.without
    model = parts.model(settings, policies["llm"], policies["llm_fallback"] if falls_back else None)
    async with contextlib.AsyncExitStack() as stack:
        await database.open()
        for opened in (database, store, logs, model):
            stack.push_async_callback(opened.close)
        health.probes = {"postgres": lambda: _answers(database), "redis": store.ping, "llm": model.ping}
        health.probes |= {"clickhouse": logs.ping} if settings.clickhouse_url else {}
        cache = parts.cache(store, settings.time_scale)
        accounts = Accounts(database, cache, parts.tokens(await _keys(database, clock), settings), settings)
        hub = parts.hub(database, store, clock, settings.scaled(LOOK), settings.scaled(RETRY))
        bell = parts.bell(database, hub.newest, hub.catch_up, clock, settings.scaled(RETRY))
        publisher = Publisher(store, hub.offer, bell)
        bench = Bench(
            model, logs, parts.tools, policies["tool"], parts.gather, rules.RULES if falls_back else {},
            parts.check, parts.route,
        )  # fmt: skip
        supervisor = Supervisor(
            lambda order: parts.journal(order, database, publisher, clock),
            bench, parts.schedule, settings.scaled(settings.run_deadline), settings.agents_at_once,
        )  # fmt: skip
        inbox = parts.inbox(database, publisher, settings.worker)
        gateway = Gateway(
            settings, database, accounts.authenticate, hub, inbox, supervisor, Limiter(store, settings.time_scale),
            parts.socket, parts.welcome, parts.credentials, health,
        )  # fmt: skip
        health.tell = lambda level, affected: hub.tell_all(frames.degradation(level, affected))
        health.gauges = lambda: {
            "worker": settings.worker, "pool": database.usage, "sockets": hub.sockets, "runs": supervisor.under_way,
        }  # fmt: skip
        stack.push_async_callback(supervisor.stop)
        beside = {
            "listen": hub.listen(), "watch": hub.watch(), "bell": bell.send(), "notifications": bell.listen(),
            "adopt": _adopt(inbox, supervisor, clock, settings.scaled(ORPHANED)), "prepare": logs.prepare(),
            "health": health.watch(clock, settings.scaled(LOOK)),
        }  # fmt: skip
        _go_on(stack, beside)
        yield _entrance(_http(settings, accounts, database, health), gateway)


def _go_on(stack: contextlib.AsyncExitStack, beside: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    """Run these beside the requests, by name, until the stack is closed."""
    loops = [asyncio.create_task(work, name=name) for name, work in beside.items()]
    forever(*loops)
    for loop in loops:
        stack.callback(loop.cancel)


def _policies(settings: Settings, clock: Clock, health: Health) -> dict[str, Policy]:
    transient: dict[str, Callable[[BaseException], bool]] = {
        "postgres": postgres.transient,
        "redis": redis.transient,
        "clickhouse": columns.transient,
        "llm": llm.transient,
        "llm_fallback": llm.transient,
        "tool": lambda error: isinstance(error, TimeoutError),
    }
    rng = Rng(settings.seed).child("backend", settings.worker)
    return {
        name: Policy(
            name, TABLE[name], clock=clock, rng=rng.stream(name), transient=judge, without=settings.without,
            scale=settings.time_scale, tell=health.breaker_changed,
        )
        for name, judge in transient.items()
    }  # fmt: skip


def _http(settings: Settings, accounts: Accounts, database: Database, health: Health) -> Starlette:
    routes = [
        *identity_routes.routes(accounts),
        *threads.routes(database, accounts.authenticate),
        *health.routes(),
    ]
    middleware = [Middleware(RequestDeadline, seconds=settings.scaled(settings.request_deadline))]
    handled = (PlatformError, Unavailable, HTTPException, Exception)
    return Starlette(routes=routes, middleware=middleware, exception_handlers=dict.fromkeys(handled, problem))


def _entrance(http: ASGIApp, gateway: Gateway) -> ASGIApp:
    async def enter(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and scope["path"] == "/ws":
            await gateway(scope, receive, send)
        else:
            await http(scope, receive, send)

    return enter


async def _adopt(inbox: Inbox, supervisor: Supervisor, clock: Clock, every: float) -> None:
    """Begin runs that were stored but that nobody began, and end those whose worker has gone."""
    missed: Counter[str] = Counter()  # by run: looks in a row that found its worker gone
    while True:
        await clock.sleep(every)
        try:
            for order in await inbox.pending(every) if supervisor.has_room() else ():
                supervisor.start(order)
            orphaned = await inbox.orphaned()
        except Unavailable as error:
            log.warning("cannot look for runs to adopt", extra={"cause": error.cause})
            orphaned = []
        missed = Counter({order.run_id: missed[order.run_id] + 1 for order in orphaned})
        for order in orphaned:
            if missed[order.run_id] >= GONE:
                supervisor.bury(order)


async def _keys(database: Database, clock: Clock) -> list[Key]:
    """The signing keys; a worker that starts before its database waits for it, and says so."""
    while True:
        try:
            return await signing_keys(database)
        except Unavailable as error:
            log.warning("waiting for the database", extra={"cause": error.cause})
            await clock.sleep(error.retry_after)


async def _answers(database: Database) -> bool:
    try:
        return await database.fetchrow("SELECT 1") is not None
    except Unavailable:
        return False
