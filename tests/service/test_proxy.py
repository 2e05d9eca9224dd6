"""The fault proxy as a real process between real sockets."""

import asyncio
import contextlib
import hashlib
import random
import signal
from collections.abc import Iterator

import psutil
import pytest

from netra_sim.faults.control import FaultControl
from tests.service.proxying import (
    ProxyProcess,
    Upstream,
    connection,
    cut,
    free_port,
    idle,
    proxy_process,
    said,
    send_reset,
    within,
)

MB = 1 << 20


@pytest.fixture(scope="module")
def process() -> Iterator[ProxyProcess]:
    with proxy_process() as running:
        yield running
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(2) == 0


# -- bytes ------------------------------------------------------------------------------------------------------


async def test_50_mb_both_ways_are_exact_and_slow_readers_hold_the_sender(
    process: ProxyProcess, control: FaultControl
) -> None:
    block, rss = random.Random(7).randbytes(MB), psutil.Process(process.process.pid).memory_info
    before, most = rss().rss, 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Send all, and read slower than the other end sends."""
        nonlocal most
        heard, counted = hashlib.blake2b(), 0

        async def send() -> None:
            for n in range(50):
                writer.write(n.to_bytes(4) + block)
                await writer.drain()
            writer.write_eof()

        sending = asyncio.ensure_future(send())
        while data := await reader.read(1 << 14):
            heard.update(data)
            counted += 1
            if counted % 64 == 0:
                most = max(most, rss().rss)
        await sending
        return heard.hexdigest()

    async with Upstream(idle) as server:
        at = await control.create_proxy("run/edge", server.address)
        async with connection(at) as (reader, writer):
            theirs = asyncio.ensure_future(talk(reader, writer))
            ours = asyncio.ensure_future(talk(*await within(server.came.get())))
            expected = hashlib.blake2b(b"".join(n.to_bytes(4) + block for n in range(50))).hexdigest()
            assert await within(asyncio.gather(theirs, ours), 60) == [expected, expected]
    assert most - before < 16 * MB


async def test_a_reader_that_stands_still_holds_the_sender(process: ProxyProcess, control: FaultControl) -> None:
    """Without back-pressure the proxy would swallow all that is sent."""
    async with Upstream(idle) as server:
        at = await control.create_proxy("run/edge", server.address)
        async with connection(at) as (_, writer):
            reader, theirs = await within(server.came.get())
            writer.write(bytes(50 * MB))
            for _ in range(50):  # round trips in which the proxy could read more
                await control.proxies()
            assert writer.transport.get_write_buffer_size() > 25 * MB
            writer.write_eof()
            theirs.close()
            assert await within(reader.read(1)) in (b"\0", b"")


async def test_the_client_may_end_first(upstream: Upstream, port: int) -> None:
    async with connection(port) as (reader, writer):
        writer.write(b"question")
        writer.write_eof()
        assert await within(reader.read()) == b"question"


async def test_the_upstream_may_end_first(control: FaultControl) -> None:
    async with Upstream(idle) as server:
        at = await control.create_proxy("run/edge", server.address)
        async with connection(at) as (reader, writer):
            their_reader, their_writer = await within(server.came.get())
            their_writer.write(b"greeting")
            their_writer.write_eof()
            assert await within(reader.read()) == b"greeting"
            writer.write(b"thanks")
            writer.write_eof()
            assert await within(their_reader.read()) == b"thanks"


async def test_a_connection_that_ended_both_ways_leaves_no_socket(
    process: ProxyProcess, control: FaultControl, port: int
) -> None:
    proxy = psutil.Process(process.process.pid)
    async with contextlib.AsyncExitStack() as stack:
        before = proxy.num_fds()
        for _ in range(20):
            reader, writer = await stack.enter_async_context(connection(port))
            writer.write(b"question")
            writer.write_eof()
            assert await within(reader.read()) == b"question"

        async def closed() -> None:
            while proxy.num_fds() > before:
                await control.proxies()

        await within(closed())


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_a_reset_ends_the_other_side(control: FaultControl, who: str) -> None:
    async with Upstream(idle) as server:
        at = await control.create_proxy("run/edge", server.address)
        async with connection(at) as client:
            theirs = await within(server.came.get())
            here, there = (client, theirs) if who == "client" else (theirs, client)
            send_reset(here[1])
            await cut(there[0])


async def test_a_client_may_speak_before_the_upstream_is_reached(port: int) -> None:
    """The loop may deliver bytes before the upstream's socket is there."""

    async def ask(n: int) -> None:
        words = f"question {n}".encode() * 1000
        async with connection(port) as (reader, writer):
            writer.write(words)
            writer.write_eof()
            assert await within(reader.read()) == words

    await asyncio.gather(*[ask(n) for n in range(100)])


# -- upstreams --------------------------------------------------------------------------------------------------


async def test_upstreams_take_turns_and_one_that_refuses_is_passed_over(control: FaultControl) -> None:
    async with Upstream() as first, Upstream() as second:
        nobody = f"127.0.0.1:{free_port()}"
        at = await control.create_proxy("run/edge", f"{first.address}, {nobody},{second.address}")
        for _ in range(6):
            async with connection(at) as streams:
                assert await said(streams, b"hello") == b"hello"
        assert first.came.qsize() >= 2
        assert second.came.qsize() >= 2


async def test_two_upstreams_take_exact_turns(control: FaultControl) -> None:
    async with Upstream() as first, Upstream() as second:
        at = await control.create_proxy("run/edge", f"{first.address},{second.address}")
        for _ in range(6):
            async with connection(at) as streams:
                assert await said(streams, b"hello") == b"hello"
        assert (first.came.qsize(), second.came.qsize()) == (3, 3)


async def test_when_all_refuse_the_client_is_closed_at_once(control: FaultControl) -> None:
    nobody = ",".join(f"127.0.0.1:{free_port()}" for _ in range(3))
    at = await control.create_proxy("run/edge", nobody)
    async with connection(at) as (reader, writer):
        writer.write(b"anybody?")
        with contextlib.suppress(ConnectionResetError):
            assert await within(reader.read(), 2) == b""
