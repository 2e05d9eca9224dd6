"""Proxies, toxics and connections as the API tells them in JSON."""

from __future__ import annotations

from typing import Any

from netra_sim.faults import kinds
from netra_sim.faults.link import Toxic
from netra_sim.faults.proxy import STREAMS, Connection, Proxy


def proxy(one: Proxy) -> dict[str, Any]:
    """A proxy with its toxics."""
    return {
        "name": one.name, "listen": one.listen, "upstream": one.upstream, "enabled": one.enabled, "toxics": toxics(one)
    }  # fmt: skip


def toxics(one: Proxy) -> list[dict[str, Any]]:
    """The toxics of a proxy: upstream first, then in the order of the chain."""
    return [toxic(each) for each in sorted(one.toxics, key=lambda t: STREAMS.index(t.stream))]


def toxic(one: Toxic) -> dict[str, Any]:
    """A toxic with what it has hit."""
    return {
        "attributes": kinds.attributes(one.kind), "name": one.name, "type": one.kind.name,
        "stream": one.stream, "toxicity": one.toxicity, "hits": one.hits,
    }  # fmt: skip


def connection(one: Connection) -> dict[str, Any]:
    """An open connection: its ends, its age in seconds, and the toxics on it with their hits on this one."""
    struck = [
        {"name": t.name, "type": t.kind.name, "stream": t.stream, "hits": t.hits_on.get(one.number, 0)}
        for t in one.toxics
    ]
    return {
        "number": one.number, "client": one.client.peer, "upstream": one.server.peer,
        "age": round(one.age, 3), "toxics": struck,
    }  # fmt: skip
