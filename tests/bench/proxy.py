"""Our proxy against no proxy, haproxy and nginx: a Redis PING's round trip, and bulk.

Both ends, the proxies and Redis share one CPU: across two, waking the other CPU costs more than any proxy does.
What a proxy adds is its round trip less a direct one of the slice beside it. Toxiproxy, whose API ours has, is not
measured: Debian, PyPI and npm do not have its server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from netra_sim.faults.control import FaultControl
from netra_sim.lab import ports
from netra_sim.lab.lab import Lab
from netra_sim.lab.spawn import Command, Process, environment
from tests.bench.measure import Figure, Goal, Slice, missing, pairs, percentile, pin, ratio
from tests.bench.stage import lab

NO_SLOWER, NO_LESS = Goal(1.0, most=True), Goal(1.0)
ADDED = Goal(1.5, most=True)
PARSING, STRUCK = "ours, parsing on", "ours, a fault that matches nothing"
SLICE = 0.4  # seconds
VALUE = 8 << 20  # bytes of one bulk answer
HAPROXY = """
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen redis
    bind 127.0.0.1:{port}
    server redis 127.0.0.1:{to}
"""
NGINX = """
{module}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4000; }}
stream {{
    access_log off;
    server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{to}; }}
}}
"""
MODULES = ("/usr/lib/nginx/modules/ngx_stream_module.so", "/usr/lib64/nginx/modules/ngx_stream_module.so")


@dataclass
class Way:
    """One way to Redis: a blocking connection over it, and the round trips measured so far."""

    name: str
    socket: socket.socket
    taken: list[float] = field(default_factory=list)

    async def pings(self) -> float:
        """The median round trip of a slice in seconds."""
        now, taken, sock = time.perf_counter, list[float](), self.socket
        end = now() + SLICE
        while (begun := now()) < end:
            sock.sendall(b"PING\r\n")
            sock.recv(64)
            taken.append(now() - begun)
        self.taken += taken
        return sorted(taken)[len(taken) // 2]

    async def bulk(self) -> float:
        """MB/s of large answers over a slice."""
        buffer, got, begun = bytearray(1 << 20), 0, time.perf_counter()
        while time.perf_counter() - begun < SLICE:
            self.socket.sendall(b"GET bench:bulk\r\n")
            left = VALUE + len(f"${VALUE}\r\n\r\n")
            while left:
                left -= self.socket.recv_into(buffer, min(left, len(buffer)))
            got += VALUE
        return got / (time.perf_counter() - begun) / 1e6


async def figures(quick: bool) -> list[Figure]:
    """p50, p99 and bulk of our proxy, as ratios to every other way."""
    before = os.sched_getaffinity(0)
    async with contextlib.AsyncExitStack() as stack:
        here = await stack.enter_async_context(lab())
        ways = await _ways(stack, here)
        stack.callback(os.sched_setaffinity, 0, before)
        _onto_one_cpu()
        return await _measured(ways, 6 if quick else 30)


async def _measured(ways: dict[str, Way], count: int) -> list[Figure]:
    rows, ours = [], ways["ours"]
    for name in ("direct", "haproxy", "nginx"):
        latency, bulk = f"proxy: PING p50 against {name}", f"proxy: bulk against {name}"
        goals = (NO_SLOWER, NO_LESS) if name == "haproxy" else (None, None)
        if name not in ways:
            rows += [missing(latency, "ratio", f"{name} is not on PATH", goals[0]),
                     missing(bulk, "ratio", f"{name} is not on PATH", goals[1])]  # fmt: skip
            continue
        slower, good = ratio(await pairs(ours.pings, ways[name].pings, count))
        wider, good_bulk = ratio(await pairs(ours.bulk, ways[name].bulk, count))
        against = f"{name}, one CPU for all"
        rows += [Figure(latency, slower, "ratio", goals[0], against, good),
                 Figure(bulk, wider, "ratio", goals[1], against, good_bulk)]  # fmt: skip
    rows += await _added(ways, count)
    for name, way in ways.items():
        for share in (0.5, 0.99):
            value = percentile(way.taken, share)
            told = None if value is None else value * 1e6
            rows.append(Figure(f"PING p{share * 100:g}, {name}", told, "µs", None, "", len(way.taken)))
    return rows


async def _added(ways: dict[str, Way], count: int) -> list[Figure]:
    """What our proxy adds to a round trip while it understands the protocol, against what haproxy adds."""
    rows: list[Figure] = []
    for name, told, goal in ((PARSING, "parsing on", ADDED), (STRUCK, "a fault that matches nothing", None)):
        figure = f"proxy, {told}: added p50 against haproxy's"
        if "haproxy" not in ways:
            rows.append(missing(figure, "ratio", "haproxy is not on PATH", goal))
            continue
        found = await pairs(_more(ways[name], ways["direct"]), _more(ways["haproxy"], ways["direct"]), count)
        value, good = ratio(found)
        rows.append(Figure(figure, value, "ratio", goal, "haproxy, one CPU for all", good))
    return rows


def _more(way: Way, direct: Way) -> Slice:
    """How much longer a round trip is that way than a direct one."""

    async def slices() -> float:
        least = await direct.pings()
        return await way.pings() - least

    return slices


async def _ways(stack: contextlib.AsyncExitStack, here: Lab) -> dict[str, Way]:
    to = urlsplit(here.redis.url).port or 6379
    control = await stack.enter_async_context(FaultControl(here.proxy.url))
    open_ = {"direct": to, "ours": await control.create_proxy("bench/redis", f"127.0.0.1:{to}")}
    for name in (PARSING, STRUCK):
        open_[name] = await control.create_proxy(f"bench/{name}", f"127.0.0.1:{to}", protocol="redis")
    await control.add_toxic(f"bench/{STRUCK}", {"type": "drop_message", "attributes": {"match": {"text": "^NEVER"}}})
    for name in ("haproxy", "nginx"):
        if shutil.which(name):
            open_[name] = await stack.enter_async_context(_peer(name, here.dir / f"bench-{name}", to))
    ways = {name: Way(name, await _connected(stack, port)) for name, port in open_.items()}
    ways["direct"].socket.sendall(b"SETRANGE bench:bulk %d x\r\n" % (VALUE - 1))
    ways["direct"].socket.recv(64)
    return ways


@contextlib.asynccontextmanager
async def _peer(name: str, folder: Path, to: int) -> AsyncIterator[int]:
    """haproxy or nginx as an owned child: TCP, one thread, no log; its port."""
    folder.mkdir()
    port, config = ports.free_port(), folder / f"{name}.conf"
    module = next((f"load_module {path};" for path in MODULES if Path(path).exists()), "")
    text = HAPROXY if name == "haproxy" else NGINX
    config.write_text(text.format(port=port, to=to, folder=folder, module=module))
    argv = (
        ("haproxy", "-db", "-f", str(config)) if name == "haproxy" else ("nginx", "-c", str(config), "-p", str(folder))
    )
    log = folder / f"{name}.log"
    process = Process(Command(name, argv, folder, log, environment({}), stop=signal.SIGTERM))
    try:
        await process.answer(lambda: _listens(port))
        yield port
    finally:
        await process.terminate(2.0)


async def _listens(port: int) -> None:
    """It does not tell when it listens, and trying to bind its port could take that from it."""
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.01)


async def _connected(stack: contextlib.AsyncExitStack, port: int) -> socket.socket:
    """A blocking connection that has had its first answer."""
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(b"PING\r\n")
    await asyncio.to_thread(sock.recv, 64)
    return sock


def _onto_one_cpu() -> None:
    """This process and all its children; the first CPU that it may use."""
    cpu = {min(os.sched_getaffinity(0))}
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        pin(process.pid, cpu)
