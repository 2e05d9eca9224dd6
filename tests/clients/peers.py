"""Somebody else's clients of Toxiproxy behind one face, so that both can be put through the same tests."""

import asyncio
import contextlib
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import toxiproxy

from tests.service.proxying import within

Json = dict[str, Any]


class Refused(Exception):
    """The client's own error, by its name or text."""


class Peer(Protocol):
    async def proxies(self) -> dict[str, Json]: ...
    async def create(self, name: str, upstream: str, listen: str) -> Json: ...
    async def populate(self, proxies: list[Json]) -> list[str]: ...
    async def enable(self, name: str, yes: bool) -> None: ...
    async def remove(self, name: str) -> None: ...
    async def add(self, proxy: str, toxic: Json) -> None: ...
    async def toxic(self, proxy: str, name: str) -> Json | None: ...
    async def take(self, proxy: str, name: str) -> None: ...
    async def reset(self) -> None: ...
    async def version(self) -> str: ...


class Python:
    """toxiproxy-python: what it says is what it has made of the answers."""

    def __init__(self, port: int) -> None:
        self._server = toxiproxy.Toxiproxy()
        self._server.update_api_consumer("127.0.0.1", port)

    async def proxies(self) -> dict[str, Json]:
        return {name: vars(proxy) for name, proxy in (await self._do(self._server.proxies)).items()}

    async def create(self, name: str, upstream: str, listen: str) -> Json:
        return dict(vars(await self._do(self._server.create, upstream=upstream, name=name, listen=listen)))

    async def populate(self, proxies: list[Json]) -> list[str]:
        return [proxy.name for proxy in await self._do(self._server.populate, proxies)]

    async def enable(self, name: str, yes: bool) -> None:
        proxy = await self._proxy(name)
        await self._do(proxy.enable if yes else proxy.disable)

    async def remove(self, name: str) -> None:
        assert await self._do((await self._proxy(name)).destroy)

    async def add(self, proxy: str, toxic: Json) -> None:
        await self._do((await self._proxy(proxy)).add_toxic, **toxic)

    async def toxic(self, proxy: str, name: str) -> Json | None:
        told = await self._do((await self._proxy(proxy)).get_toxic, name)
        return None if told is None else vars(told)

    async def take(self, proxy: str, name: str) -> None:
        assert await self._do((await self._proxy(proxy)).destroy_toxic, name)

    async def reset(self) -> None:
        assert await self._do(self._server.reset)

    async def version(self) -> str:
        return str((await self._do(self._server.version)).decode())

    async def _proxy(self, name: str) -> Any:
        proxy = await self._do(self._server.get_proxy, name)
        return proxy or toxiproxy.Proxy(name=name, upstream="", enabled=True, listen="")

    async def _do(self, call: Any, *given: Any, **named: Any) -> Any:
        try:
            return await within(asyncio.to_thread(call, *given, **named))
        except Exception as error:
            raise Refused(type(error).__name__) from error


class Node:
    """toxiproxy-node-client in a process of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def proxies(self) -> dict[str, Json]:
        return dict(await self.do("list"))

    async def create(self, name: str, upstream: str, listen: str) -> Json:
        return dict(await self.do("create", {"name": name, "upstream": upstream, "listen": listen}))

    async def populate(self, proxies: list[Json]) -> list[str]:
        return list(await self.do("populate", proxies))

    async def enable(self, name: str, yes: bool) -> None:
        told = await self.do("get", name)
        assert (await self.do("update", name, {**told, "enabled": yes}))["enabled"] is yes

    async def remove(self, name: str) -> None:
        await self.do("remove", name)

    async def add(self, proxy: str, toxic: Json) -> None:
        await self.do("add", proxy, toxic)

    async def toxic(self, proxy: str, name: str) -> Json | None:
        try:
            return dict(await self.do("toxic", proxy, name))
        except Refused:
            return None

    async def take(self, proxy: str, name: str) -> None:
        await self.do("take", proxy, name)

    async def reset(self) -> None:
        await self.do("reset")

    async def version(self) -> str:
        return str(await self.do("version"))

    async def do(self, *call: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(call).encode() + b"\n")
        told = json.loads(await within(self._process.stdout.readline()))
        if "error" in told:
            raise Refused(told["error"])
        return told.get("result")


@contextlib.asynccontextmanager
async def node(url: str, modules: str) -> AsyncIterator[Node]:
    """`modules` is the folder that its package was installed in."""
    command, env = ("node", str(Path(__file__).with_name("driver.js")), url), {**os.environ, "NODE_PATH": modules}
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=env)
    assert process.stdin is not None
    try:
        yield Node(process)
    finally:
        process.stdin.close()  # it ends by itself, also where `node` is a program that starts the real one
        await within(process.wait())
