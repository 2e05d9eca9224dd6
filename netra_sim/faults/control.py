"""A client of the proxy process's control API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from netra_sim.kernel.errors import FaultError


class FaultControl:
    """Creates proxies and sets toxics; FaultError when the proxy process refuses or has gone."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=10.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def create_proxy(self, name: str, upstream: str, listen: str = "127.0.0.1:0", *, protocol: str = "") -> int:
        """A proxy in front of one upstream or several (comma-separated) that may understand a protocol; its port."""
        asked = {"name": name, "listen": listen, "upstream": upstream, **({"protocol": protocol} if protocol else {})}
        told = await self._ask("POST", "/proxies", asked)
        return int(told["listen"].rpartition(":")[2])

    async def delete_proxy(self, name: str) -> None:
        """Remove it; its connections are dropped."""
        await self._ask("DELETE", f"/proxies/{quote(name, safe='')}")

    async def proxies(self, prefix: str = "") -> dict[str, Any]:
        """Those whose name begins with the prefix, with their toxics."""
        told = await self._ask("GET", "/proxies")
        return {name: proxy for name, proxy in told.items() if name.startswith(prefix)}

    async def connections(self, proxy: str) -> list[dict[str, Any]]:
        """The open connections, oldest first: their ends, age in seconds, and what each toxic hit on them."""
        told: list[dict[str, Any]] = await self._ask("GET", f"/proxies/{quote(proxy, safe='')}/connections")
        return told

    async def add_toxic(self, proxy: str, toxic: dict[str, Any]) -> dict[str, Any]:
        """Set a toxic; what was set."""
        told: dict[str, Any] = await self._ask("POST", f"/proxies/{quote(proxy, safe='')}/toxics", toxic)
        return told

    async def toxic(self, proxy: str, name: str) -> dict[str, Any] | None:
        """A toxic with its hits, or None when it has gone."""
        path = f"/proxies/{quote(proxy, safe='')}/toxics/{quote(name, safe='')}"
        told: dict[str, Any] | None = await self._ask("GET", path, missing=True)
        return told

    async def hits(self, proxy: str, name: str) -> list[dict[str, Any]]:
        """By connection, the hits of a toxic on messages, with the text of the last one."""
        path = f"/proxies/{quote(proxy, safe='')}/toxics/{quote(name, safe='')}/hits"
        told: list[dict[str, Any]] = await self._ask("GET", path)
        return told

    async def update_toxic(self, proxy: str, name: str, attributes: dict[str, Any]) -> dict[str, Any]:
        """Give a toxic other attributes, on open connections too; what is set now."""
        path = f"/proxies/{quote(proxy, safe='')}/toxics/{quote(name, safe='')}"
        told: dict[str, Any] = await self._ask("PATCH", path, {"attributes": attributes})
        return told

    async def remove_toxic(self, proxy: str, name: str) -> None:
        """Take a toxic away, if it is still there."""
        await self._ask("DELETE", f"/proxies/{quote(proxy, safe='')}/toxics/{quote(name, safe='')}", missing=True)

    async def record(self, proxy: str) -> None:
        """Begin to record the messages that pass a proxy which has a protocol."""
        await self._ask("PUT", f"/proxies/{quote(proxy, safe='')}/recording")

    async def recorded(self, proxy: str) -> list[dict[str, Any]]:
        """End the recording; its messages in the order in which they passed."""
        told = await self._ask("DELETE", f"/proxies/{quote(proxy, safe='')}/recording")
        return list(told.get("messages", ()))

    async def gone(self) -> None:
        """Wait until the proxy process has gone, then raise FaultError."""
        url = self._client.base_url
        try:
            reader, writer = await asyncio.open_connection(url.host, url.port)
            try:
                await reader.read()  # an idle connection ends only with the process
            finally:
                writer.close()
        except OSError as error:
            raise FaultError(detail=f"The fault proxy does not answer: {error!r}.") from error
        raise FaultError(detail="The fault proxy has gone.")

    @contextlib.asynccontextmanager
    async def there(self) -> AsyncIterator[None]:
        """Within, the end of the proxy process ends at once, with FaultError, whatever is done."""
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self.gone())
                yield
                watch.cancel()
        except BaseExceptionGroup as errors:
            raise _cause(errors) from errors

    async def _ask(self, method: str, path: str, body: Any = None, *, missing: bool = False) -> Any:
        try:
            answer = await self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise FaultError(detail=f"The fault proxy does not answer: {error!r}.") from error
        if answer.status_code == 404 and missing:
            return None
        if answer.is_error:
            raise FaultError(detail=f"The fault proxy refused {method} {path}: {answer.text.strip()}")
        return answer.json() if answer.content else None


def _cause(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What the proxy's end is to blame for if it has gone, else what went wrong first."""
    lost = errors.subgroup(FaultError)
    first = (lost or errors).exceptions[0]
    return _cause(first) if isinstance(first, BaseExceptionGroup) else first
