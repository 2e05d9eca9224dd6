"""Memory of 1,000 idle connections: at a worker (signed in, resumed) and at a proxy (to Redis), parsed or not."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from urllib.parse import urlsplit

from netra_sim.faults.control import FaultControl
from netra_sim.lab.lab import Lab
from netra_sim.lab.server import PORT, Child, Server
from tests.bench.load import client
from tests.bench.measure import Figure, Goal, rss_kib
from tests.bench.stage import lab, side

PROXY = (sys.executable, "-m", "netra_sim.faults.serve", "--port", PORT)
SMALL = Goal(200.0, most=True)  # MB of a whole proxy process
WARM = 50  # connections before the first look: what is allocated once is not a connection's


async def figures(quick: bool) -> list[Figure]:
    """KiB of resident memory that each further connection takes, and MB of the proxy process that has them all."""
    count = 200 if quick else 1000
    async with lab() as here:
        worker = await _of_worker(here, count)
        plain, plain_mb = await _of_proxy(here, count)
        parsing, parsing_mb = await _of_proxy(here, count, "redis")
    process = f"memory of a proxy process, {count:,} connections"
    return [
        Figure("memory of a worker, an idle socket", worker, "KiB", None, "", count),
        Figure("memory of the proxy, an idle connection", plain, "KiB", None, "", count),
        Figure("memory of the proxy, an idle connection, parsing on", parsing, "KiB", None, "", count),
        Figure(process, plain_mb, "MB", SMALL, "", count),
        Figure(f"{process}, parsing on", parsing_mb, "MB", SMALL, "", count),
    ]


async def _of_worker(here: Lab, count: int) -> float:
    async with side(here, "memory", WARM + count) as worker, contextlib.AsyncExitStack() as stack:
        for user in worker.users[:WARM]:
            await stack.enter_async_context(client(worker, user))
        before = rss_kib(worker.pid)
        for user in worker.users[WARM:]:
            await stack.enter_async_context(client(worker, user))
        return (rss_kib(worker.pid) - before) / count


async def _of_proxy(here: Lab, count: int, protocol: str = "") -> tuple[float, float]:
    """KiB a connection, and MB in all, of a process of its own; each connection has had one answer."""
    server = Server(Child("proxy", PROXY), here.dir / f"bench-proxy-{protocol or 'plain'}")
    await server.start()
    assert server.pid is not None
    pid, to = server.pid, urlsplit(here.redis.url).port
    try:
        async with FaultControl(server.url) as control, contextlib.AsyncExitStack() as stack:
            port = await control.create_proxy("bench/memory", f"127.0.0.1:{to}", protocol=protocol)
            await _connect(stack, port, WARM)
            before = rss_kib(pid)
            await _connect(stack, port, count - WARM)
            after = rss_kib(pid)
            return (after - before) / (count - WARM), after * 1024 / 1e6
    finally:
        await server.stop()


async def _connect(stack: contextlib.AsyncExitStack, port: int, count: int) -> None:
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        writer.write(b"PING\r\n")
        await reader.readline()
