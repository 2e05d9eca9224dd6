"""Toxiproxy's HTTP API over a set of proxies: its routes, JSON and errors.

A toxic may carry `lease_ms` and `seed`, and tells `hits`. After https://github.com/Shopify/toxiproxy (README).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from netra_sim.faults import kinds
from netra_sim.faults.kinds.base import Kind
from netra_sim.faults.link import Toxic
from netra_sim.faults.proxy import STREAMS, Proxy
from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.rng import Rng

VERSION = "2.12.0-netra"


class ApiError(Exception):
    """An answer in Toxiproxy's form: `{"error", "status"}`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


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
            Route(toxics + "/{toxic}", self._change, methods=["POST", "PATCH"]),
            Route(toxics + "/{toxic}", self._remove, methods=["DELETE"]),
            Route(one, self._show, methods=["GET"]),
            Route(one, self._update, methods=["POST", "PATCH"]),
            Route(one, self._delete, methods=["DELETE"]),
        ]
        return Starlette(routes=routes, middleware=[Middleware(_Door)], exception_handlers={ApiError: _told})

    async def close(self) -> None:
        """Close every proxy."""
        for proxy in tuple(self._proxies.values()):
            await proxy.close()

    async def _version(self, _request: Request) -> Response:
        text = json.dumps({"version": VERSION}) + "\n"
        return Response(text, media_type="application/json;charset=utf-8")

    async def _list(self, _request: Request) -> Response:
        return JSONResponse({name: _proxy(proxy) for name, proxy in self._proxies.items()})

    async def _create(self, request: Request) -> Response:
        given = await _body(request)
        name, upstream, listen = (_text(given, field) for field in ("name", "upstream", "listen"))
        enabled = _flag(given, "enabled", True)
        for field, value in (("name", name), ("upstream", upstream)):
            if not value:
                raise ApiError(400, f"missing required field: {field}")
        if name in self._proxies:
            raise ApiError(409, "proxy already exists")
        try:
            proxy = self._proxies[name] = Proxy(name, listen, upstream, self._rng)
            proxy.enabled = enabled
            await proxy.open()
        except (OSError, ValueError) as error:
            self._proxies.pop(name, None)
            raise ApiError(500, str(error)) from error
        return JSONResponse(_proxy(proxy), 201)

    async def _show(self, request: Request) -> Response:
        return JSONResponse(_proxy(self._find(request)))

    async def _update(self, request: Request) -> Response:
        proxy = self._find(request)
        given = await _body(request)
        proxy.enabled = _flag(given, "enabled", proxy.enabled)
        listen, upstream = _text(given, "listen") or proxy.listen, _text(given, "upstream") or proxy.upstream
        try:
            if (listen, upstream) != (proxy.listen, proxy.upstream):
                await proxy.move(listen, upstream)
            else:
                await proxy.settle()
        except (OSError, ValueError) as error:
            raise ApiError(500, str(error)) from error
        return JSONResponse(_proxy(proxy))

    async def _delete(self, request: Request) -> Response:
        proxy = self._find(request)
        del self._proxies[proxy.name]
        await proxy.close()
        return Response(status_code=204)

    async def _reset(self, _request: Request) -> Response:
        for proxy in tuple(self._proxies.values()):
            proxy.enabled = True
            for toxic in tuple(proxy.toxics):
                await _settled(proxy.remove(toxic))
            await _settled(proxy.settle())
        return Response(status_code=204)

    async def _toxics(self, request: Request) -> Response:
        proxy = self._find(request)
        return JSONResponse(_toxics_of(proxy))

    async def _add(self, request: Request) -> Response:
        proxy, given = self._find(request), await _body(request)
        toxic = _new(given, proxy)
        if lease := _number(given, "lease_ms", 0):
            toxic.timer = asyncio.get_running_loop().call_later(lease / 1000, self._expire, proxy, toxic)
        await _settled(proxy.add(toxic))
        return JSONResponse(_toxic(toxic))

    async def _show_toxic(self, request: Request) -> Response:
        return JSONResponse(_toxic(_find_toxic(self._find(request), request)))

    async def _change(self, request: Request) -> Response:
        """Attributes are merged with those that are set; of the rest only the toxicity is read."""
        proxy = self._find(request)
        toxic, given = _find_toxic(proxy, request), await _body(request)
        toxicity = _number(given, "toxicity", toxic.toxicity)
        kind = _kind(toxic.kind.name, given, kinds.attributes(toxic.kind))
        await proxy.update(toxic, kind, toxicity)
        return JSONResponse(_toxic(toxic))

    async def _remove(self, request: Request) -> Response:
        proxy = self._find(request)
        await _settled(proxy.remove(_find_toxic(proxy, request)))
        return Response(status_code=204)

    def _expire(self, proxy: Proxy, toxic: Toxic) -> None:
        """A lease has run out: whoever set the fault may be gone."""
        task = asyncio.ensure_future(proxy.remove(toxic))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _find(self, request: Request) -> Proxy:
        proxy = self._proxies.get(unquote(request.path_params["proxy"]))
        if proxy is None:
            raise ApiError(404, "proxy not found")
        return proxy


def _new(given: dict[str, Any], proxy: Proxy) -> Toxic:
    """A toxic out of a body, checked in Toxiproxy's order: body, stream, type, duplicate, attributes."""
    toxicity, _ = _number(given, "toxicity", 1.0), _number(given, "lease_ms", 0)
    type_, stream = _text(given, "type"), _text(given, "stream").lower() or "downstream"
    name = _text(given, "name") or f"{type_}_{stream}"
    seed = given.get("seed")
    if seed is not None and type(seed) is not int:
        raise ApiError(400, "bad request body: seed: not an integer")
    if stream not in STREAMS:
        raise ApiError(400, "stream was invalid, can be either upstream or downstream")
    if type_ not in kinds.KINDS:
        raise ApiError(400, "invalid toxic type")
    if proxy.toxic(name) is not None:
        raise ApiError(409, "toxic already exists")
    return Toxic(name, _kind(type_, given, {}), STREAMS[STREAMS.index(stream)], toxicity, seed)


def _kind(type_: str, given: dict[str, Any], so_far: dict[str, int]) -> Kind:
    attributes = given.get("attributes")
    if attributes is not None and not isinstance(attributes, dict):
        raise ApiError(400, "bad request body: attributes: not an object")
    told = {str(key).lower(): value for key, value in (attributes or {}).items() if value is not None}
    try:
        return kinds.make(type_, {**so_far, **told})
    except BadValue as error:
        raise ApiError(400, f"bad request body: {error}") from error


def _text(given: dict[str, Any], field: str) -> str:
    value = given.get(field)
    if value is not None and not isinstance(value, str):
        raise ApiError(400, f"bad request body: {field}: not a string")
    return value or ""


def _number(given: dict[str, Any], field: str, default: float) -> float:
    value = given.get(field)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15):
        raise ApiError(400, f"bad request body: {field}: not a number")
    return default if value is None else float(value)


def _flag(given: dict[str, Any], field: str, default: bool) -> bool:
    value = given.get(field)
    if value is not None and not isinstance(value, bool):
        raise ApiError(400, f"bad request body: {field}: neither true nor false")
    return default if value is None else value


def _find_toxic(proxy: Proxy, request: Request) -> Toxic:
    toxic = proxy.toxic(unquote(request.path_params["toxic"]))
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
        given = json.loads(await request.body(), parse_constant=_no_number)
    except ValueError as error:
        raise ApiError(400, f"bad request body: {error}") from error
    if not isinstance(given, dict):
        raise ApiError(400, "bad request body: not an object")
    return {str(key).lower(): value for key, value in given.items()}


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


async def _told(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    text = json.dumps({"error": error.text, "status": error.status}) + "\n"
    return PlainTextResponse(text, error.status)


def _proxy(proxy: Proxy) -> dict[str, Any]:
    return {
        "name": proxy.name, "listen": proxy.listen, "upstream": proxy.upstream, "enabled": proxy.enabled,
        "toxics": _toxics_of(proxy),
    }  # fmt: skip


def _toxics_of(proxy: Proxy) -> list[dict[str, Any]]:
    """Upstream first, then in the order of the chain."""
    return [_toxic(toxic) for toxic in sorted(proxy.toxics, key=lambda t: STREAMS.index(t.stream))]


def _toxic(toxic: Toxic) -> dict[str, Any]:
    return {
        "attributes": kinds.attributes(toxic.kind), "name": toxic.name, "type": toxic.kind.name,
        "stream": toxic.stream, "toxicity": toxic.toxicity, "hits": toxic.hits,
    }  # fmt: skip
