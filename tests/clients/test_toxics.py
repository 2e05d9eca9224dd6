"""Each of Toxiproxy's toxics, set by somebody else's client, acts; time is only ever a lower bound."""

import asyncio
from typing import Any

import pytest

from netra_sim.faults.control import FaultControl
from tests.clients.peers import Peer
from tests.service.proxying import ProxyProcess, Streams, Upstream, connection, cut, idle, said, toxic_until, within

TICK = 0.005  # seconds by which a timer may come early


@pytest.fixture
async def at(client: Peer, upstream: Upstream) -> int:
    """The port of the proxy `db` in front of an echo."""
    made = await client.create("db", upstream.address, "127.0.0.1:0")
    return int(made["listen"].rpartition(":")[2])


async def struck(client: Peer, type_: str, **attributes: int) -> None:
    await client.add("db", {"type": type_, "attributes": attributes})
    told = await client.toxic("db", f"{type_}_downstream")
    assert told is not None
    assert (told["type"], told["stream"], told["toxicity"]) == (type_, "downstream", 1.0)
    assert {name: told["attributes"][name] for name in attributes} == attributes


async def answered(streams: Streams, words: bytes) -> tuple[bytes, float]:
    """What an echo answers, and the seconds it took."""
    begun = asyncio.get_running_loop().time()
    return await said(streams, words), asyncio.get_running_loop().time() - begun


async def test_latency_delays_an_open_connection_and_a_removed_one_does_not(client: Peer, at: int) -> None:
    async with connection(at) as streams:
        assert await said(streams, b"before") == b"before"
        await struck(client, "latency", latency=200, jitter=0)
        words, seconds = await answered(streams, b"during")
        assert (words, seconds >= 0.2 - TICK) == (b"during", True)
        await client.take("db", "latency_downstream")
        assert await said(streams, b"after") == b"after"
    assert await client.toxic("db", "latency_downstream") is None


async def test_removing_latency_lets_go_of_what_waits(client: Peer, at: int, process: ProxyProcess) -> None:
    async with connection(at) as (reader, writer), FaultControl(process.url) as control:
        await struck(client, "latency", latency=3_600_000)
        writer.write(b"patience")
        await toxic_until(control, "db", "latency_downstream", _hit)
        await client.take("db", "latency_downstream")
        assert await within(reader.readexactly(8)) == b"patience"


async def test_bandwidth_takes_its_time(client: Peer, at: int) -> None:
    await struck(client, "bandwidth", rate=100)
    async with connection(at) as streams:
        words, seconds = await answered(streams, b"x" * 30_000)
        assert (len(words), seconds >= 0.3 - TICK) == (30_000, True)


async def test_slow_close_delays_the_end_but_no_data(client: Peer, at: int) -> None:
    await struck(client, "slow_close", delay=200)
    async with connection(at) as streams:
        assert await said(streams, b"hello") == b"hello"
        begun = asyncio.get_running_loop().time()
        streams[1].write_eof()
        assert await within(streams[0].read()) == b""
        assert asyncio.get_running_loop().time() - begun >= 0.2 - TICK


async def test_timeout_is_silent_until_it_is_removed(client: Peer, at: int, process: ProxyProcess) -> None:
    await struck(client, "timeout", timeout=0)
    async with connection(at) as (reader, writer), FaultControl(process.url) as control:
        writer.write(b"anybody?")
        await toxic_until(control, "db", "timeout_downstream", _hit)
        await client.take("db", "timeout_downstream")
        await cut(reader)  # asserts that nothing was heard


async def test_timeout_closes_when_it_is_over(client: Peer, at: int) -> None:
    await struck(client, "timeout", timeout=50)
    async with connection(at) as (reader, writer):
        writer.write(b"anybody?")
        await cut(reader)


async def test_reset_peer_resets(client: Peer, at: int) -> None:
    await struck(client, "reset_peer", timeout=0)
    async with connection(at) as (reader, writer):
        writer.write(b"hello")
        assert await cut(reader)


async def test_slicer_hands_on_pieces_with_pauses(client: Peer, at: int) -> None:
    await struck(client, "slicer", average_size=10, size_variation=0, delay=20_000)
    async with connection(at) as streams:
        words, seconds = await answered(streams, bytes(range(100)))
        assert (words, seconds >= 9 * 0.02 - 9 * TICK) == (bytes(range(100)), True)


async def test_limit_data_closes_after_so_many_bytes(client: Peer, at: int) -> None:
    await struck(client, "limit_data", bytes=5)
    async with connection(at) as (reader, writer):
        writer.write(b"hello world")
        assert await within(reader.read()) == b"hello"


async def test_a_toxic_upstream_acts_on_what_the_client_says(client: Peer) -> None:
    async with Upstream(idle) as server:
        at = int((await client.create("db", server.address, "127.0.0.1:0"))["listen"].rpartition(":")[2])
        await client.add("db", {"type": "limit_data", "stream": "upstream", "attributes": {"bytes": 3}})
        async with connection(at) as (_, writer):
            theirs, answers = await within(server.came.get())
            answers.write(b"welcome, and speak")
            writer.write(b"hello")
            assert await within(theirs.read()) == b"hel"


async def test_no_toxicity_spares_everybody(client: Peer, at: int) -> None:
    await client.add("db", {"type": "reset_peer", "toxicity": 0.0, "attributes": {"timeout": 0}})
    async with connection(at) as streams:
        assert await said(streams, b"hello") == b"hello"


def _hit(toxic: dict[str, Any] | None) -> bool:
    return toxic is not None and toxic["hits"] > 0
