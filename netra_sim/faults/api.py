"""Toxiproxy's HTTP API over a set of proxies: its routes, JSON and errors.

A toxic may carry `lease_ms` and `seed`, and tells `hits`; a proxy may be made with its `toxics` and a `protocol`;
`connections` tells which toxic hit which open connection, a toxic's `hits` also of those that have gone.
After https://github.com/Shopify/toxiproxy (README, METRICS).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import TypeVar
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from netra_sim.faults import given, kinds, metrics, told
from netra_sim.faults.given import ApiError, Wanted
from netra_sim.faults.proxy import Proxy
from netra_sim.faults.recording import Recording
from netra_sim.faults.toxic import Toxic
from netra_sim.kernel.rng import Rng

VERSION = "2.12.0-netra"
T = TypeVar("T")


class _Door:
    """Browsers stay out; names keep their quoted slashes until a route has been found."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if dict(scope["headers"]).get(b"user-agent", b"").startswith(b"Mozilla/"):
            await PlainTextResponse("User agent not allowed\n", 403)(scope, receive, send)
            return
        await self._app({**scope, "path": scope["raw_path"].decode("latin-1")}, receive, send)


class Api:
    """All proxies of the process by name."""

    def __init__(self, seed: int) -> None:
        self._rng = Rng(seed).child("faults")
        self._proxies: dict[str, Proxy] = {}
        self._making = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def application(self) -> Starlette:
        """The ASGI application."""
        one, toxics = "/proxies/{proxy:path}", "/proxies/{proxy:path}/toxics"
        routes = [
            Route("/version", self._version),
            Route("/metrics", self._metrics),
            Route("/reset", self._reset, methods=["POST"]),
            Route("/populate", self._populate, methods=["POST"]),
            Route("/proxies", self._list, methods=["GET"]),
            Route("/proxies", self._create, methods=["POST"]),
            Route(toxics, self._toxics, methods=["GET"]),
            Route(toxics, self._add, methods=["POST"]),
            Route(toxics + "/{toxic}/hits", self._hits, methods=["GET"]),
            Route(toxics + "/{toxic}", self._show_toxic, methods=["GET"]),
            Route(toxics + "/{toxic}", self._change, methods=["POST", "PATCH"]),
            Route(toxics + "/{toxic}", self._remove, methods=["DELETE"]),
            Route(one + "/connections", self._connections, methods=["GET"]),
            Route(one + "/recording", self._record, methods=["PUT", "DELETE"]),
            Route(one, self._show, methods=["GET"]),
            Route(one, self._update, methods=["POST", "PATCH"]),
            Route(one, self._delete, methods=["DELETE"]),
        ]
        return Starlette(routes=routes, middleware=[Middleware(_Door)], exception_handlers={ApiError: _told})

    async def populate(self, data: bytes) -> tuple[list[Proxy], ApiError | None]:
        """Make the proxies of a list in JSON; those that stand in the end, and what went wrong after them.

        One that has the addresses and the protocol already is left as it is, with its toxics; another is made anew.
        """
        standing: list[Proxy] = []
        try:
            for wanted in given.proxies(data):
                async with self._making:
                    standing.append(await self._stood(wanted))
        except ApiError as error:
            return standing, error
        return standing, None

    async def close(self) -> None:
        """Close every proxy."""
        for proxy in tuple(self._proxies.values()):
            await proxy.close()

    async def _version(self, _request: Request) -> Response:
        text = json.dumps({"version": VERSION}) + "\n"
        return Response(text, media_type="application/json;charset=utf-8")

    async def _metrics(self, _request: Request) -> Response:
        return Response(metrics.exposition(self._proxies.values()), headers={"content-type": metrics.CONTENT_TYPE})

    async def _list(self, _request: Request) -> Response:
        return JSONResponse({name: told.proxy(proxy) for name, proxy in self._proxies.items()})

    async def _create(self, request: Request) -> Response:
        wanted = given.proxy(await request.body())
        async with self._making:
            if wanted.name in self._proxies:
                raise ApiError(409, "proxy already exists")
            proxy = await _settled(self._make(wanted))
        return JSONResponse(told.proxy(proxy), 201)

    async def _populate(self, request: Request) -> Response:
        standing, error = await self.populate(await request.body())
        proxies = {"proxies": [told.proxy(proxy) for proxy in standing]}
        if error is not None:
            return JSONResponse({"error": error.text, "status": error.status, **proxies}, error.status)
        return JSONResponse(proxies, 201)

    async def _stood(self, wanted: Wanted) -> Proxy:
        """The proxy of that name, if it has these addresses and this protocol; else a new one, in its place."""
        old = self._proxies.get(wanted.name)
        if old is not None:
            stands = await _settled(old.stands(wanted.listen, wanted.upstream))
            if stands and wanted.protocol == old.protocol:
                return old
            await old.stop()
        proxy = await _settled(self._make(wanted))
        if old is not None:
            await old.close()
        return proxy

    async def _make(self, wanted: Wanted) -> Proxy:
        """A proxy with its toxics, both or neither; OSError or ValueError for its addresses."""
        proxy = Proxy(wanted.name, wanted.listen, wanted.upstream, self._rng, wanted.protocol)
        proxy.enabled, proxy.toxics = wanted.enabled, list(wanted.toxics)
        try:
            await proxy.open()
        except OSError:
            await proxy.close()
            raise
        for toxic in wanted.toxics:
            self._let(proxy, toxic)
        self._proxies[wanted.name] = proxy
        return proxy

    async def _show(self, request: Request) -> Response:
        return JSONResponse(told.proxy(self._find(request)))

    async def _update(self, request: Request) -> Response:
        proxy, body = self._find(request), given.body(await request.body())
        enabled = given.flag(body, "enabled", proxy.enabled)
        if (given.protocol(body) or proxy.protocol) != proxy.protocol:
            raise ApiError(400, "protocol: it cannot be changed; delete the proxy and create it anew")
        listen, upstream = given.text(body, "listen") or proxy.listen, given.text(body, "upstream") or proxy.upstream
        stands = await _settled(proxy.stands(listen, upstream))
        proxy.enabled = enabled
        await _up(proxy, proxy.settle() if stands else proxy.move(listen, upstream))
        return JSONResponse(told.proxy(proxy))

    async def _delete(self, request: Request) -> Response:
        proxy = self._find(request)
        del self._proxies[proxy.name]
        await proxy.close()
        return Response(status_code=204)

    async def _reset(self, _request: Request) -> Response:
        for proxy in tuple(self._proxies.values()):
            proxy.enabled = True
            for toxic in tuple(proxy.toxics):
                await _up(proxy, proxy.remove(toxic))
            await _up(proxy, proxy.settle())
        return Response(status_code=204)

    async def _connections(self, request: Request) -> Response:
        return JSONResponse([told.connection(connection) for connection in self._find(request).connections])

    async def _toxics(self, request: Request) -> Response:
        return JSONResponse(told.toxics(self._find(request)))

    async def _add(self, request: Request) -> Response:
        proxy, body = self._find(request), given.body(await request.body())
        toxic = given.toxic(body, [toxic.name for toxic in proxy.toxics], proxy.protocol)
        self._let(proxy, toxic)
        await _settled(proxy.add(toxic))
        return JSONResponse(told.toxic(toxic))

    async def _record(self, request: Request) -> Response:
        """PUT begins to record what passes; DELETE ends it and tells it."""
        proxy = self._find(request)
        if not proxy.protocol:
            raise ApiError(400, f"{proxy.name} has no protocol: it understands nothing that passes")
        ended, proxy.recording = proxy.recording, Recording() if request.method == "PUT" else None
        return JSONResponse({"messages": ended.messages, "missed": ended.missed} if ended else {})

    async def _show_toxic(self, request: Request) -> Response:
        return JSONResponse(told.toxic(_toxic(self._find(request), request)))

    async def _hits(self, request: Request) -> Response:
        return JSONResponse(told.hits(_toxic(self._find(request), request)))

    async def _change(self, request: Request) -> Response:
        """Attributes are merged with those that are set; of the rest only the toxicity is read."""
        proxy = self._find(request)
        toxic, body = _toxic(proxy, request), given.body(await request.body())
        toxicity = given.number(body, "toxicity", toxic.toxicity)
        kind = given.kind(toxic.kind.name, body, kinds.attributes(toxic.kind))
        await proxy.update(toxic, kind, toxicity)
        return JSONResponse(told.toxic(toxic))

    async def _remove(self, request: Request) -> Response:
        proxy = self._find(request)
        await _up(proxy, proxy.remove(_toxic(proxy, request)))
        return Response(status_code=204)

    def _let(self, proxy: Proxy, toxic: Toxic) -> None:
        """A toxic with a lease goes by itself: whoever set it may be gone by then."""
        if toxic.lease:
            toxic.timer = asyncio.get_running_loop().call_later(toxic.lease, self._expire, proxy, toxic)

    def _expire(self, proxy: Proxy, toxic: Toxic) -> None:
        task = asyncio.ensure_future(proxy.remove(toxic))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _find(self, request: Request) -> Proxy:
        proxy = self._proxies.get(unquote(request.path_params["proxy"]))
        if proxy is None:
            raise ApiError(404, "proxy not found")
        return proxy


def _toxic(proxy: Proxy, request: Request) -> Toxic:
    toxic = proxy.toxic(unquote(request.path_params["toxic"]))
    if toxic is None:
        raise ApiError(404, "toxic not found")
    return toxic


async def _settled(work: Awaitable[T]) -> T:
    try:
        return await work
    except (OSError, ValueError) as error:
        raise ApiError(500, str(error)) from error


async def _up(proxy: Proxy, work: Awaitable[None]) -> None:
    """A proxy that cannot listen where it should is disabled."""
    try:
        await _settled(work)
    except ApiError:
        proxy.enabled = False
        raise


async def _told(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    text = json.dumps({"error": error.text, "status": error.status}) + "\n"
    return PlainTextResponse(text, error.status)
