"""ClickHouse under its policy: what the agents' tools ask about a tenant's workload."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from netra_sim.backend.reliability.policy import Policy, Unavailable

if TYPE_CHECKING:
    from clickhouse_connect.driver.asyncclient import AsyncClient

CLIENT = "clickhouse_connect"
Row = Mapping[str, Any]
FORMAT = "JSONEachRow"  # read here: the client reads Native answers in a thread, at half a millisecond of CPU each
# The engine's codes that say "later": time-out, too many queries or parts, memory, no connection, still starting.
PASSING = frozenset({159, 202, 209, 210, 241, 242, 252, 425})


def transient(error: BaseException) -> bool:
    """True when the same query may succeed later: connection, time-out, overload."""
    if isinstance(error, OSError | TimeoutError | aiohttp.ClientError):
        return True
    return getattr(error, "code", None) in PASSING or type(error).__name__ == "OperationalError"


class Columns:
    """The tenants' logs; without a URL every question is Unavailable, as it is when the server is away."""

    def __init__(self, url: str, policy: Policy) -> None:
        self._url, self._policy = url, policy
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def prepare(self) -> None:
        """Load the client before the first question needs it, beside the loop: that is a quarter second of CPU."""
        if self._url:
            async with self._opening:
                await asyncio.to_thread(importlib.import_module, CLIENT)

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.close()

    async def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """All rows of a query with bound values (`{name:Type}`); Unavailable when ClickHouse cannot be asked."""
        if not self._url:
            raise Unavailable("clickhouse", 0, "not configured", 0.0)

        async def call() -> list[dict[str, Any]]:
            client = self._client or await self._open()
            answer = await client.raw_query(sql, parameters=values, fmt=FORMAT)
            return [orjson.loads(line) for line in answer.splitlines()]

        return await self._policy.run(call)

    async def ping(self) -> bool:
        """True when ClickHouse answers."""
        try:
            return bool(await self.rows("SELECT 1 AS one"))
        except Unavailable:
            return False

    async def _open(self) -> AsyncClient:
        """Connected at the first question: the client asks the server for its settings."""
        async with self._opening:
            if self._client is None:
                # What is loaded already is found at once; what is not must not hold up the loop.
                client = await asyncio.to_thread(importlib.import_module, CLIENT)
                # A worker's questions are independent of each other; a session would make them wait in line.
                self._client = await client.get_async_client(
                    dsn=self._url, compress=False, autogenerate_session_id=False, query_retries=0
                )
            return self._client
