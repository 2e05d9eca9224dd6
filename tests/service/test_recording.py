"""What passes a proxy is recorded while somebody asks for it, and only then."""

from urllib.parse import urlsplit

import pytest
import redis.asyncio as redis

from netra_sim.faults.control import FaultControl
from netra_sim.kernel.errors import FaultError
from netra_sim.lab.lab import Lab


async def test_messages_are_told_in_their_order_with_what_they_are_about(control: FaultControl, lab: Lab) -> None:
    address = urlsplit(lab.redis.url).netloc.rpartition("@")[2]
    port = await control.create_proxy("edge", address, protocol="redis")
    url = lab.redis.url.replace(address, f"127.0.0.1:{port}")
    async with redis.Redis.from_url(url, single_connection_client=True) as store:
        await store.set("recorded", "before")
        assert await control.recorded("edge") == []
        await control.record("edge")
        await store.get("recorded")
        await store.delete("recorded")
        told = await control.recorded("edge")
        await store.get("recorded")
    assert [(m["stream"], m["type"], m["text"]) for m in told] == [
        ("upstream", "command", "GET recorded"), ("downstream", "reply", "GET recorded"),
        ("upstream", "command", "DEL recorded"), ("downstream", "reply", "DEL recorded"),
    ]  # fmt: skip
    assert told[0]["facts"] == {"command": "GET", "key": "recorded"}
    assert [m["t"] for m in told] == sorted(m["t"] for m in told)
    assert await control.recorded("edge") == []


async def test_a_proxy_that_understands_nothing_cannot_be_recorded(control: FaultControl) -> None:
    await control.create_proxy("edge", "127.0.0.1:9")
    with pytest.raises(FaultError, match="no protocol"):
        await control.record("edge")
