"""Whether a lab's services answer, asked over the wire as their users ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from urllib.parse import urlsplit

from netra_sim.kernel.errors import LabError
from netra_sim.lab import postgres, redis
from netra_sim.lab.service import Service

WITHIN = 1.0  # seconds to answer


async def ailing(services: Iterable[Service]) -> list[str]:
    """The names of the lab's own services that have ended or do not answer; another's servers are not asked."""
    owned = [service for service in services if service.owned]
    asked = (asyncio.wait_for(_ask(service), WITHIN) for service in owned)
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    return [s.name for s, outcome in zip(owned, outcomes, strict=True) if isinstance(outcome, Exception)]


async def _ask(service: Service) -> None:
    if not service.alive:
        raise LabError(detail=f"{service.name} has ended.")
    ask = {"postgresql": postgres.ask_version, "redis": redis.ask_version}.get(urlsplit(service.url).scheme, _ask_http)
    await ask(service.url)


async def _ask_http(url: str) -> str:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        return (await reader.readexactly(1)).decode()
    finally:
        writer.close()
