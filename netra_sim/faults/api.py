"""Toxiproxy's HTTP API over a set of proxies: its routes, JSON and errors; a toxic may carry `lease_ms`, and tells `hits`.

After https://github.com/Shopify/toxiproxy (README, HTTP API).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from netra_sim.faults import kinds
from netra_sim.faults.link import Toxic
from netra_sim.faults.proxy import STREAMS, Proxy
from netra_sim.kernel.errors import BadValue, UnknownName
from netra_sim.kernel.rng import Rng

VERSION = "2.12.0-netra"


class ApiError(Exception):
    """An answer in Toxiproxy's form: `{"error", "status"}`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Api:
    """All proxies of the process by name."""

    def __init__(self, seed: int) -> None:
        self._rng = Rng(seed).child("faults")
        self._proxies: dict[str, Proxy] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def application(self) -> Starlette:
        """The ASGI application."""
        one, toxics = "/proxies/{proxy:path}", "/proxies/{proxy:path}/toxics"
        routes = [
            Route("/version", self._version),
            Route("/reset", self._reset, methods=["POST"]),
            Route("/proxies", self._list, methods=["GET"]),
            Route("/proxies", self._create, methods=["POST"]),
            Route(toxics, self._toxics, methods=["GET"]),
            Route(toxics, self._add, methods=["POST"]),
            Route(toxics + "/{toxic}", self._show_toxic, methods=["GET"]),
            Route(toxics + "/{toxic}", self._remove, methods=["DELETE"]),
            Route(one, self._show, methods=["GET"]),
            Route(one, self._update, methods=["POST", "PATCH"]),
            Route(one, self._delete, methods=["DELETE"]),
        ]
        return Starlette(routes=routes, exception_handlers={ApiError: _told})

    async def close(self) -> None:
        """Close every proxy."""
        for proxy in self._proxies.values():
            await proxy.close()

    async def _version(self, _request: Request) -> Response:
        return JSONResponse({"version": VERSION}, media_type="application/json;charset=utf-8")

    async def _list(self, _request: Request) -> Response:
        return JSONResponse({name: _proxy(proxy) for name, proxy in self._proxies.items()})

    async def _create(self, request: Request) -> Response:
        given = await _body(request)
        name, upstream = given.get("name"), given.get("upstream")
        for field, value in (("name", name), ("upstream", upstream)):
            if not isinstance(value, str) or not value:
                raise ApiError(400, f"missing required field: {field}")
        if name in self._proxies:
            raise ApiError(409, "proxy already exists")
        try:
            proxy = Proxy(str(name), str(given.get("listen") or ""), str(upstream), self._rng)
            await proxy.open()
        except (OSError, ValueError) as error:
            raise ApiError(500, str(error)) from error
        self._proxies[proxy.name] = proxy
        await self._enable(proxy, given.get("enabled", True))
        return JSONResponse(_proxy(proxy), 201)

    async def _show(self, request: Request) -> Response:
        return JSONResponse(_proxy(self._find(request)))

    async def _update(self, request: Request) -> Response:
        proxy = self._find(request)
        given = await _body(request)
        await self._enable(proxy, given.get("enabled", proxy.enabled))
        return JSONResponse(_proxy(proxy))

    async def _delete(self, request: Request) -> Response:
        proxy = self._find(request)
        del self._proxies[proxy.name]
        await proxy.close()
        return Response(status_code=204)

    async def _reset(self, _request: Request) -> Response:
        for proxy in self._proxies.values():
            for toxic in tuple(proxy.toxics):
                await proxy.remove(toxic)
            await self._enable(proxy, True)
        return Response(status_code=204)

    async def _toxics(self, request: Request) -> Response:
        proxy = self._find(request)
        ordered = sorted(proxy.toxics, key=lambda t: STREAMS.index(t.stream))
        return JSONResponse([_toxic(toxic) for toxic in ordered])

    async def _add(self, request: Request) -> Response:
        proxy, given = self._find(request), await _body(request)
        toxic = _new(given)
        if proxy.toxic(toxic.name) is not None:
            raise ApiError(409, "toxic already exists")
        if lease := given.get("lease_ms"):
            toxic.timer = asyncio.get_running_loop().call_later(lease / 1000, self._expire, proxy, toxic)
        await proxy.add(toxic)
        return JSONResponse(_toxic(toxic))

    async def _show_toxic(self, request: Request) -> Response:
        return JSONResponse(_toxic(_find_toxic(self._find(request), request)))

    async def _remove(self, request: Request) -> Response:
        proxy = self._find(request)
        await _settled(proxy.remove(_find_toxic(proxy, request)))
        return Response(status_code=204)

    def _expire(self, proxy: Proxy, toxic: Toxic) -> None:
        """A lease has run out: whoever set the fault may be gone."""
        task = asyncio.ensure_future(proxy.remove(toxic))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _enable(self, proxy: Proxy, enabled: Any) -> None:
        proxy.enabled = bool(enabled)
        await _settled(proxy.settle())

    def _find(self, request: Request) -> Proxy:
        proxy = self._proxies.get(request.path_params["proxy"])
        if proxy is None:
            raise ApiError(404, "proxy not found")
        return proxy


def _new(given: dict[str, Any]) -> Toxic:
    """A toxic out of a body, checked in Toxiproxy's order: stream, type, attributes."""
    stream, type_ = given.get("stream") or "downstream", given.get("type") or ""
    if stream not in STREAMS:
        raise ApiError(400, "stream was invalid, can be either upstream or downstream")
    toxicity, lease = given.get("toxicity", 1.0), given.get("lease_ms", 0)
    numbers = (toxicity, lease)
    if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise ApiError(400, "bad request body: toxicity and lease_ms are numbers")
    try:
        kind = kinds.make(str(type_), given.get("attributes"))
    except UnknownName as error:
        raise ApiError(400, "invalid toxic type") from error
    except (BadValue, AttributeError) as error:
        raise ApiError(400, f"bad request body: {error}") from error
    return Toxic(str(given.get("name") or f"{type_}_{stream}"), kind, stream, float(toxicity))


def _find_toxic(proxy: Proxy, request: Request) -> Toxic:
    toxic = proxy.toxic(request.path_params["toxic"])
    if toxic is None:
        raise ApiError(404, "toxic not found")
    return toxic


async def _settled(work: Awaitable[None]) -> None:
    try:
        await work
    except OSError as error:
        raise ApiError(500, str(error)) from error


async def _body(request: Request) -> dict[str, Any]:
    try:
        given = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise ApiError(400, f"bad request body: {error}") from error
    if not isinstance(given, dict):
        raise ApiError(400, "bad request body: not an object")
    return {str(key).lower(): value for key, value in given.items()}


async def _told(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    text = json.dumps({"error": error.text, "status": error.status}) + "\n"
    return PlainTextResponse(text, error.status)


def _proxy(proxy: Proxy) -> dict[str, Any]:
    toxics = [_toxic(toxic) for toxic in proxy.toxics]
    return {
        "name": proxy.name, "listen": proxy.listen, "upstream": proxy.upstream, "enabled": proxy.enabled,
        "toxics": toxics,
    }  # fmt: skip


def _toxic(toxic: Toxic) -> dict[str, Any]:
    return {
        "attributes": kinds.attributes(toxic.kind), "name": toxic.name, "type": toxic.kind.name,
        "stream": toxic.stream, "toxicity": toxic.toxicity, "hits": toxic.hits,
    }  # fmt: skip
