"""Proxies made, listed, changed and removed by toxiproxy-python and toxiproxy-node-client."""

import time

import pytest

from tests.clients.peers import Node, Peer, Python, Refused
from tests.service.proxying import Upstream, connection, cut, free_port, said

ANY = "127.0.0.1:0"


def port(proxy: dict[str, object]) -> int:
    return int(str(proxy["listen"]).rpartition(":")[2])


async def test_a_proxy_lives_and_goes(client: Peer, upstream: Upstream) -> None:
    made = await client.create("db", upstream.address, "localhost:0")
    assert made == (await client.proxies())["db"]
    assert (made["name"], made["upstream"], made["enabled"]) == ("db", upstream.address, True)
    async with connection(port(made)) as streams:
        assert await said(streams, b"hello") == b"hello"
        await client.remove("db")
        await cut(streams[0])
    assert await client.proxies() == {}


async def test_a_proxy_is_disabled_and_enabled(client: Peer, upstream: Upstream) -> None:
    at = port(await client.create("db", upstream.address, ANY))
    async with connection(at) as streams:
        assert await said(streams, b"hello") == b"hello"
        await client.enable("db", False)
        await cut(streams[0])
    with pytest.raises(ConnectionRefusedError):
        async with connection(at):
            pass
    assert (await client.proxies())["db"]["enabled"] is False
    await client.enable("db", True)
    async with connection(at) as streams:
        assert await said(streams, b"again") == b"again"


async def test_reset_enables_and_takes_all_toxics_away(client: Peer, upstream: Upstream) -> None:
    await client.create("a", upstream.address, ANY)
    await client.create("b", upstream.address, ANY)
    await client.enable("a", False)
    await client.add("b", {"type": "noop", "name": "it", "attributes": {}})
    await client.reset()
    assert {name: proxy["enabled"] for name, proxy in (await client.proxies()).items()} == {"a": True, "b": True}
    assert await client.toxic("b", "it") is None


async def test_proxies_are_populated(client: Peer, upstream: Upstream) -> None:
    first, second = free_port(), free_port()
    wanted = [
        {"name": "one", "listen": f"127.0.0.1:{first}", "upstream": upstream.address},
        {"name": "two", "listen": f"127.0.0.1:{second}", "upstream": upstream.address},
    ]
    assert await client.populate(wanted) == ["one", "two"]
    await client.add("one", {"type": "noop", "name": "it", "attributes": {}})
    wanted[1]["upstream"] = "127.0.0.1:9"
    assert "two" in await client.populate(wanted)
    assert (await client.proxies())["two"]["upstream"] == "127.0.0.1:9"
    assert await client.toxic("one", "it") is not None  # it was left as it is
    async with connection(first) as streams:
        assert await said(streams, b"hello") == b"hello"


async def test_the_version_is_told(client: Peer) -> None:
    assert (await client.version()).startswith('{"version": "2.')


async def test_python_knows_the_errors_by_their_status(python_client: Python) -> None:
    await python_client.create("db", "127.0.0.1:9", ANY)
    with pytest.raises(Refused, match="NotFound"):
        await python_client.enable("nobody", False)
    with pytest.raises(Refused, match="NotFound"):
        await python_client.take("db", "nothing")
    await python_client.add("db", {"type": "latency", "name": "it"})
    with pytest.raises(Refused, match="ProxyExists"):  # its name for every 409
        await python_client.add("db", {"type": "latency", "name": "it"})
    with pytest.raises(Refused, match="InvalidToxic"):
        await python_client.add("db", {"type": "gremlin"})


async def test_node_knows_the_errors_by_their_status(node_client: Node) -> None:
    await node_client.create("db", "127.0.0.1:9", ANY)
    for status, call in (
        (404, ("get", "nobody")),
        (409, ("create", {"name": "db", "listen": ANY, "upstream": "127.0.0.1:9"})),
        (400, ("create", {"name": "x", "listen": ANY, "upstream": ""})),
        (400, ("add", "db", {"type": "gremlin", "attributes": {}})),
        (400, ("populate", [{"name": "x", "listen": ANY}])),
    ):
        with pytest.raises(Refused, match=f"status code {status}"):
            await node_client.do(*call)


async def test_node_moves_a_proxy(node_client: Node, upstream: Upstream) -> None:
    made = await node_client.create("db", "127.0.0.1:9", ANY)
    at = free_port()
    change = {**made, "listen": f"127.0.0.1:{at}", "upstream": upstream.address}
    assert await node_client.do("update", "db", change) == change
    async with connection(at) as streams:
        assert await said(streams, b"hello") == b"hello"


async def test_node_changes_a_toxic_and_the_change_acts(node_client: Node, upstream: Upstream) -> None:
    made = await node_client.create("db", upstream.address, ANY)
    body = {"name": "it", "type": "latency", "stream": "upstream", "toxicity": 0.5, "attributes": {"latency": 5}}
    told = await node_client.do("add", "db", body)
    assert told == {**body, "attributes": {"latency": 5, "jitter": 0}}
    change = {**told, "toxicity": 1, "attributes": {"latency": 101, "jitter": 1}}
    assert await node_client.do("change", "db", "it", change) == await node_client.toxic("db", "it") == change
    async with connection(port(made)) as streams:
        begun = time.monotonic()
        assert await said(streams, b"hello") == b"hello"
        assert time.monotonic() - begun >= 0.095
