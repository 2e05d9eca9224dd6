"""Faults on messages, set on the proxy `edge` of a running proxy process."""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from netra_sim.faults.control import FaultControl
from tests.service.proxying import within


async def through(control: FaultControl, url: str, protocol: str) -> str:
    """The same URL by way of the proxy `edge`."""
    parts = urlsplit(url)
    port = await control.create_proxy("edge", f"{parts.hostname}:{parts.port}", protocol=protocol)
    account, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{account}{at}127.0.0.1:{port}"))


async def strike(control: FaultControl, kind: str, match: dict[str, Any], **attributes: Any) -> None:
    """Set the toxic `it`; without `stream` in the direction of its kind."""
    stream = {"stream": attributes.pop("stream")} if "stream" in attributes else {}
    toxic = {"name": "it", "type": kind, **stream, "attributes": {"match": match, **attributes}}
    await control.add_toxic("edge", toxic)


async def hits(control: FaultControl) -> int:
    """What it has hit so far; it had no defect."""
    told = await control.toxic("edge", "it")
    assert told is not None
    assert "error" not in told
    return int(told["hits"])


async def struck(control: FaultControl, number: int = 1) -> None:
    """Wait until it has hit so many; a round trip to the proxy is the pace."""

    async def ask() -> None:
        while await hits(control) < number:
            pass

    await within(ask())
