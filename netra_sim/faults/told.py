"""Proxies, toxics and connections as the API tells them in JSON."""

from __future__ import annotations

from typing import Any

from netra_sim.faults import kinds
from netra_sim.faults.connection import Connection
from netra_sim.faults.proxy import Proxy
from netra_sim.faults.toxic import Struck, Toxic
from netra_sim.faults.wire.base import STREAMS

NEVER = Struck()


def proxy(one: Proxy) -> dict[str, Any]:
    """A proxy with its toxics; with its protocol where it has one."""
    return {
        "name": one.name, "listen": one.listen, "upstream": one.upstream, "enabled": one.enabled,
        "toxics": toxics(one), **({"protocol": one.protocol} if one.protocol else {}),
    }  # fmt: skip


def toxics(one: Proxy) -> list[dict[str, Any]]:
    """The toxics of a proxy: upstream first, then in the order of the chain."""
    return [toxic(each) for each in sorted(one.toxics, key=lambda t: STREAMS.index(t.stream))]


def toxic(one: Toxic) -> dict[str, Any]:
    """A toxic with what it has hit; with its defects where it had any."""
    return {
        "attributes": kinds.attributes(one.kind), "name": one.name, "type": one.kind.name,
        "stream": one.stream, "toxicity": one.toxicity, "hits": one.hits,
        **({"errors": one.errors, "error": one.error} if one.errors else {}),
    }  # fmt: skip


def hits(one: Toxic) -> list[dict[str, Any]]:
    """What a toxic hit by connection, open or gone, with the text of the last message hit; first struck first."""
    return [{"connection": number, **_struck(struck)} for number, struck in one.struck.items()]


def connection(one: Connection) -> dict[str, Any]:
    """An open connection: its ends, its age in seconds, the toxics on it with their hits on this one.

    With `opaque`, such as TLS, where it is not understood any more: no fault on messages strikes it then.
    """
    struck = [
        {"name": t.name, "type": t.kind.name, "stream": t.stream, **_struck(t.struck.get(one.number, NEVER))}
        for t in one.toxics
    ]
    return {
        "number": one.number, "client": one.client.peer, "upstream": one.server.peer,
        "age": round(one.age, 3), "toxics": struck,
        **({"opaque": one.opaque} if one.opaque else {}),
    }  # fmt: skip


def _struck(one: Struck) -> dict[str, Any]:
    return {"hits": one.hits, **({"last": one.last} if one.last else {})}
