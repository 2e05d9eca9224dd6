"""Memory a connection: 1,000 idle ones at a worker (signed in, resumed) and at the proxy (to Redis)."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

from netra_sim.faults.control import FaultControl
from netra_sim.lab.lab import Lab
from netra_sim.lab.server import Server
from tests.bench.load import client
from tests.bench.measure import Figure, rss_kib
from tests.bench.stage import lab, side

WARM = 50  # connections before the first look: what is allocated once is not a connection's


async def figures(quick: bool) -> list[Figure]:
    """KiB of resident memory that each further connection takes."""
    count = 200 if quick else 1000
    async with lab() as here:
        worker = await _of_worker(here, count)
        proxy = await _of_proxy(here, count)
    return [
        Figure("memory of a worker, an idle socket", worker, "KiB", None, "", count),
        Figure("memory of the proxy, an idle connection", proxy, "KiB", None, "", count),
    ]


async def _of_worker(here: Lab, count: int) -> float:
    async with side(here, "memory", WARM + count) as worker, contextlib.AsyncExitStack() as stack:
        for user in worker.users[:WARM]:
            await stack.enter_async_context(client(worker, user))
        before = rss_kib(worker.pid)
        for user in worker.users[WARM:]:
            await stack.enter_async_context(client(worker, user))
        return (rss_kib(worker.pid) - before) / count


async def _of_proxy(here: Lab, count: int) -> float:
    assert isinstance(here.proxy, Server) and here.proxy.pid is not None
    pid, to = here.proxy.pid, urlsplit(here.redis.url).port
    async with FaultControl(here.proxy.url) as control, contextlib.AsyncExitStack() as stack:
        port = await control.create_proxy("bench/memory", f"127.0.0.1:{to}")

        async def one() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(b"PING\r\n")
            await reader.readline()

        for _ in range(WARM):
            await one()
        before = rss_kib(pid)
        for _ in range(count):
            await one()
        return (rss_kib(pid) - before) / count
