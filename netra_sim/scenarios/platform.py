"""The platform in a namespace of its own: a database, a prefix of keys, two workers, a proxy on every edge."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

from netra_sim.faults.control import FaultControl
from netra_sim.faults.process import PROXY
from netra_sim.lab.lab import Lab
from netra_sim.lab.server import Server
from netra_sim.lab.service import Service
from netra_sim.users import workload

Started = Callable[[str], contextlib.AbstractContextManager[None]]
WORKERS = 2
PORTS = {"postgresql": 5432, "postgres": 5432, "redis": 6379, "http": 80}
PROTOCOLS = {"postgres": "postgres", "redis": "redis", "clickhouse": "http", "llm": "http"}


@dataclass(frozen=True)
class Platform:
    """Where users reach it; its database and its workers (name -> URL) past the proxies.

    `processes` are its workers as faults name them: worker-1, worker-2.
    """

    entrances: tuple[str, ...]
    database_url: str
    logs_url: str
    workers: Mapping[str, str]
    processes: Mapping[str, Service]

    @property
    def url(self) -> str:
        """The first entrance."""
        return self.entrances[0]

    def entrance(self, number: int) -> str:
        """The one of user `number`: users take them in turn."""
        return self.entrances[(number - 1) % len(self.entrances)]


@contextlib.asynccontextmanager
async def platform(
    lab: Lab,
    control: FaultControl,
    name: str,
    seed: int,
    *,
    without: Collection[str] = (),
    defect: str = "",
    entrances: int = 1,
    protocols: bool = False,
    settings: Mapping[str, str] = MappingProxyType({}),
    started: Started = lambda _: contextlib.nullcontext(),
) -> AsyncIterator[Platform]:
    """Start it and, at the end, stop its workers and remove its edges, its database and its keys.

    `settings` are variables of the workers beside those that every trial sets. The edges in front of them are named
    edge, edge-2, ... With `protocols`, of it or of the lab, all edges understand what passes. Within
    `started("databases")` and `started("workers")` these two are made.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(lab.drop_namespace, name, f"{name}:")
        with started("databases"):
            database, logs = await asyncio.gather(lab.create_database(name), _logs(lab, name))
        direct = {"postgres": database, "redis": lab.redis.url, "llm": lab.llm_url}
        direct |= {"clickhouse": logs} if logs else {}
        reads = protocols or lab.protocols
        proxied = {s: await _proxied(stack, control, f"{name}/{s}", url, reads) for s, url in direct.items()}
        environment = {
            "NETRA_POSTGRES_URL": proxied["postgres"],
            "NETRA_REDIS_URL": proxied["redis"],
            "NETRA_CLICKHOUSE_URL": proxied.get("clickhouse", ""),
            "NETRA_LLM_URL": proxied["llm"],
            "NETRA_REDIS_PREFIX": f"{name}:",
            **({"NETRA_LLM_KEY": name} if lab.llm.owned else {}),  # another's server has keys of its own
            "NETRA_SEED": str(seed),
            "NETRA_TIME_SCALE": str(lab.time_scale),
            "NETRA_WITHOUT": ",".join(without),
            "NETRA_PARTS": f"netra_sim.defects:{defect}" if defect else "",
            **settings,
        }
        names = [f"{name}-{worker}" for worker in worker_names()]
        with started("workers"):
            workers = await asyncio.gather(*(lab.worker({**environment, "NETRA_WORKER": worker}) for worker in names))
        stack.push_async_callback(_stop, lab, workers)
        upstream = ",".join(f"127.0.0.1:{worker.port}" for worker in workers)
        http = "http" if reads else ""
        edges = [await _edge(stack, control, f"{name}/{edge}", upstream, http) for edge in edge_names(entrances)]
        direct_workers = {name: f"http://127.0.0.1:{worker.port}" for name, worker in zip(names, workers, strict=True)}
        processes = dict(zip(worker_names(), workers, strict=True))
        yield Platform(tuple(f"http://127.0.0.1:{port}" for port in edges), database, logs, direct_workers, processes)


def edge_names(entrances: int) -> list[str]:
    """`edge`, `edge-2`, ...: so many entrances for users."""
    return ["edge", *(f"edge-{n}" for n in range(2, entrances + 1))]


def worker_names() -> list[str]:
    """`worker-1`, `worker-2`: the workers of a platform, as faults name them."""
    return [f"worker-{n}" for n in range(1, WORKERS + 1)]


def services(lab: Lab) -> dict[str, Service]:
    """All that runs in a lab and may be struck: all but the proxy, which the faults are in."""
    return {service.name: service for service in lab.services if service.name != PROXY}


def service_edges(lab: Lab) -> list[str]:
    """Where proxies stand between the workers and a lab's services."""
    return [name for name in PROTOCOLS if name != "clickhouse" or lab.clickhouse is not None]


async def _logs(lab: Lab, name: str) -> str:
    """The URL of the logs' database with its tables, empty where the lab has none."""
    if url := await lab.create_logs(name):
        await workload.prepare(url)
    return url


async def _stop(lab: Lab, workers: Sequence[Server]) -> None:
    await asyncio.gather(*(lab.stop_worker(worker) for worker in workers))


async def _proxied(stack: contextlib.AsyncExitStack, control: FaultControl, name: str, url: str, reads: bool) -> str:
    """The URL of a service by way of a proxy named `namespace/service`."""
    protocol = PROTOCOLS[name.rpartition("/")[2]] if reads else ""
    return _at(url, await _edge(stack, control, name, _address(url), protocol))


async def _edge(
    stack: contextlib.AsyncExitStack, control: FaultControl, name: str, upstream: str, protocol: str
) -> int:
    port = await control.create_proxy(name, upstream, protocol=protocol)
    stack.push_async_callback(control.delete_proxy, name)
    return port


def _address(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or PORTS[parts.scheme]}"


def _at(url: str, port: int) -> str:
    """The same URL, but by way of a proxy on this machine."""
    parts = urlsplit(url)
    account, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{account}{at}127.0.0.1:{port}"))
