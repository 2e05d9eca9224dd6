"""Each kind of fault in a real proxy process, on connections that are open and on those that come."""

import asyncio
import contextlib
import itertools
import random
from dataclasses import fields

import pytest

from netra_sim.faults import kinds
from netra_sim.faults.control import FaultControl
from netra_sim.faults.kinds.message import MessageKind
from tests.service.proxying import (
    Upstream,
    connection,
    cut,
    echo,
    idle,
    said,
    toxic_until,
    within,
)

MB = 1 << 20


async def strike(control: FaultControl, kind: str, **more: object) -> None:
    await control.add_toxic("run/edge", {"name": "it", "type": kind, **more})


@pytest.mark.parametrize("when", ["open", "new"])
@pytest.mark.parametrize("stream", ["upstream", "downstream"])
async def test_latency(control: FaultControl, port: int, when: str, stream: str) -> None:
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        if when == "open":
            streams = await stack.enter_async_context(connection(port))
            assert await said(streams, b"hello") == b"hello"
        await strike(control, "latency", stream=stream, attributes={"latency": 100})
        if when == "new":
            streams = await stack.enter_async_context(connection(port))
        begun = loop.time()
        assert await said(streams, b"hello") == b"hello"
        assert loop.time() - begun >= 0.098  # the proxy's clock counts whole milliseconds
        told = await control.toxic("run/edge", "it")
        assert told is not None
        assert told["hits"] == 1


@pytest.mark.parametrize("when", ["open", "new"])
async def test_reset_peer_resets_both_ends(control: FaultControl, when: str) -> None:
    async with Upstream(idle) as server, contextlib.AsyncExitStack() as stack:
        at = await control.create_proxy("run/edge", server.address)
        if when == "open":
            client = await stack.enter_async_context(connection(at))
            theirs = await within(server.came.get())
        await strike(control, "reset_peer", stream="upstream")
        if when == "new":
            client = await stack.enter_async_context(connection(at))
            theirs = await within(server.came.get())
        client[1].write(b"COMMIT")
        assert await cut(client[0])
        assert await cut(theirs[0])
        await toxic_until(control, "run/edge", "it", lambda t: t is not None and t["hits"] == 1)


async def test_down_drops_refuses_and_comes_back_on_its_port(control: FaultControl, port: int) -> None:
    async with connection(port) as streams:
        assert await said(streams, b"hello") == b"hello"
        await strike(control, "down")
        await cut(streams[0])
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await within(asyncio.open_connection("127.0.0.1", port))
    told = await control.toxic("run/edge", "it")
    assert told is not None
    assert told["hits"] == 1
    await control.remove_toxic("run/edge", "it")
    async with connection(port) as streams:
        assert await said(streams, b"hello") == b"hello"


async def test_while_down_the_port_is_kept(control: FaultControl, port: int) -> None:
    await strike(control, "down")
    with pytest.raises(OSError, match="in use"):
        await asyncio.start_server(echo, "127.0.0.1", port, reuse_address=False)


async def test_down_twice_is_over_when_both_are_removed(control: FaultControl, port: int) -> None:
    await strike(control, "down")
    await control.add_toxic("run/edge", {"name": "too", "type": "down"})
    await control.remove_toxic("run/edge", "it")
    with pytest.raises(ConnectionRefusedError):
        await within(asyncio.open_connection("127.0.0.1", port))
    await control.remove_toxic("run/edge", "too")
    async with connection(port) as streams:
        assert await said(streams, b"hello") == b"hello"


@pytest.mark.parametrize("when", ["open", "new"])
async def test_timeout_discards_and_closes_at_its_removal(control: FaultControl, port: int, when: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        if when == "open":
            streams = await stack.enter_async_context(connection(port))
            assert await said(streams, b"hello") == b"hello"
        await strike(control, "timeout")
        if when == "new":
            streams = await stack.enter_async_context(connection(port))
        streams[1].write(b"anybody?")
        await toxic_until(control, "run/edge", "it", lambda t: t is not None and t["hits"] == 1)
        await control.remove_toxic("run/edge", "it")
        await cut(streams[0])


async def test_timeout_closes_by_itself(control: FaultControl, port: int) -> None:
    await strike(control, "timeout", attributes={"timeout": 50})
    async with connection(port) as (reader, _):
        await cut(reader)


async def test_toxicity_0_spares_all(control: FaultControl, port: int) -> None:
    await strike(control, "reset_peer", toxicity=0)
    for _ in range(10):
        async with connection(port) as streams:
            assert await said(streams, b"hello") == b"hello"


async def draws(control: FaultControl, upstream: Upstream, proxy: str, **more: object) -> list[bool]:
    """Which of 40 connections, one after the other, a toxicity of one half takes."""
    at = await control.create_proxy(proxy, upstream.address)
    await control.add_toxic(proxy, {"name": "it", "type": "reset_peer", "toxicity": 0.5, **more})
    struck = []
    for _ in range(40):
        async with connection(at) as (reader, writer):
            writer.write(b"hello")
            try:
                struck.append(await within(reader.read(5)) != b"hello")
            except ConnectionResetError:
                struck.append(True)
    await control.delete_proxy(proxy)
    return struck


async def test_toxicity_is_drawn_by_seed_proxy_toxic_and_connection(control: FaultControl, upstream: Upstream) -> None:
    once = await draws(control, upstream, "run/edge")
    assert 8 <= sum(once) <= 32
    assert await draws(control, upstream, "run/edge") == once
    assert await draws(control, upstream, "run/other") != once


async def test_with_a_seed_of_its_own_a_toxic_draws_alike_on_every_runs_edges(
    control: FaultControl, upstream: Upstream
) -> None:
    """A control run strikes the same connections as the run it controls, though its proxies have other names."""
    once = await draws(control, upstream, "run-1/edge", seed=7)
    assert await draws(control, upstream, "run-2/edge", seed=7) == once
    assert await draws(control, upstream, "run-1/edge", seed=8) != once


async def test_a_lease_runs_out_by_itself(control: FaultControl, port: int) -> None:
    await strike(control, "down", lease_ms=100)
    with pytest.raises(ConnectionRefusedError):
        await within(asyncio.open_connection("127.0.0.1", port))
    await toxic_until(control, "run/edge", "it", lambda toxic: toxic is None)
    async with connection(port) as streams:
        assert await said(streams, b"hello") == b"hello"


async def test_removed_before_its_lease_ends_it_may_be_set_again(control: FaultControl, port: int) -> None:
    """The first lease's end must not take the second toxic of that name away."""
    await strike(control, "latency", lease_ms=30)
    await control.remove_toxic("run/edge", "it")
    await strike(control, "latency", attributes={"latency": 60})
    async with connection(port) as streams:
        assert await said(streams, b"hello") == b"hello"  # takes longer than the first lease
    assert await control.toxic("run/edge", "it") is not None


async def test_200_faults_set_and_removed_under_load_lose_no_byte(control: FaultControl, port: int) -> None:
    done, rng = asyncio.Event(), random.Random(3)

    async def load(n: int) -> int:
        async with connection(port) as streams:
            for turn in itertools.count():
                if done.is_set():
                    return turn
                words = f"{n}/{turn} ".encode() * (1 + turn * 37 % 5000)
                assert await said(streams, words) == words
        raise AssertionError

    clients = [asyncio.ensure_future(load(n)) for n in range(4)]
    for cycle in range(200):
        name, stream = f"it-{cycle}", rng.choice(["upstream", "downstream"])
        ms = {"latency": rng.randrange(8), "jitter": rng.randrange(4)}
        await control.add_toxic("run/edge", {"name": name, "type": "latency", "stream": stream, "attributes": ms})
        await control.remove_toxic("run/edge", name)
    done.set()
    assert min(await within(asyncio.gather(*clients))) > 0


async def test_set_and_removed_at_once_by_many(control: FaultControl, port: int) -> None:
    """Requests that cross each other leave the listener as the last state wants it."""

    async def cycle(n: int) -> None:
        for _ in range(10):
            await control.add_toxic("run/edge", {"name": f"it-{n}", "type": "down"})
            await control.remove_toxic("run/edge", f"it-{n}")

    await within(asyncio.gather(*[cycle(n) for n in range(8)]))
    async with connection(port) as streams:
        assert await said(streams, b"hello") == b"hello"


# -- every kind under load --------------------------------------------------------------------------------------

ENDS = ("timeout", "reset_peer", "limit_data", "black_hole")  # may end connections that were open: their purpose


ON_BYTES = sorted(n for n, kind in kinds.KINDS.items() if not (kind.whole_proxy or issubclass(kind, MessageKind)))


@pytest.mark.parametrize("kind", ON_BYTES)
async def test_each_kind_set_changed_and_removed_under_load_never_hangs(
    control: FaultControl, port: int, kind: str
) -> None:
    """Bytes go both ways meanwhile; whatever became of them, afterwards a new connection has a free line."""
    values = {field.name: 20_000 for field in fields(kinds.KINDS[kind])}
    sent = random.Random(1).randbytes(1 << 14)
    async with connection(port) as (reader, writer):
        heard, over = asyncio.ensure_future(reader.readexactly(40 * len(sent))), False
        for turn in range(20):
            names = {stream: f"{kind}-{stream}-{turn}" for stream in ("upstream", "downstream")}
            for stream, name in names.items():
                toxic = {"name": name, "type": kind, "stream": stream, "attributes": values}
                await within(control.add_toxic("run/edge", toxic))
            writer.write(sent)
            for name in names.values():
                await within(control.update_toxic("run/edge", name, dict.fromkeys(values, 30_000)))
                writer.write(sent[: len(sent) // 2])
            for name in names.values():
                await within(control.remove_toxic("run/edge", name))
        try:
            got = await within(heard)
        except (ConnectionError, asyncio.IncompleteReadError):
            over = True
    if kind in ENDS:
        assert over or not kinds.KINDS[kind].discards
    else:
        half = sent[: len(sent) // 2]
        assert not over
        assert kinds.KINDS[kind].discards or got == (sent + half + half) * 20
    assert (await control.proxies())["run/edge"]["toxics"] == []
    async with connection(port) as streams:
        assert await said(streams, b"free again") == b"free again"


async def test_refuse_resets_new_connections_and_leaves_open_ones(control: FaultControl, port: int) -> None:
    async with connection(port) as open_one:
        assert await said(open_one, b"before") == b"before"
        await control.add_toxic("run/edge", {"name": "no", "type": "refuse"})
        with pytest.raises(ConnectionResetError):  # while it is made, or when it is read
            async with connection(port) as (reader, _):
                await within(reader.read())
        assert await said(open_one, b"under") == b"under"
        await toxic_until(control, "run/edge", "no", lambda toxic: toxic is not None and toxic["hits"] == 1)
        await control.remove_toxic("run/edge", "no")
    async with connection(port) as streams:
        assert await said(streams, b"after") == b"after"


async def test_a_partition_is_ridden_out_by_open_and_new_connections(control: FaultControl, port: int) -> None:
    async with connection(port) as old:
        assert await said(old, b"before") == b"before"
        for stream in ("upstream", "downstream"):
            await control.add_toxic("run/edge", {"name": stream, "type": "partition", "stream": stream})
        async with connection(port) as new:
            answers = [asyncio.ensure_future(said(streams, words)) for streams, words in ((old, b"o"), (new, b"n"))]
            await toxic_until(control, "run/edge", "upstream", lambda toxic: toxic is not None and toxic["hits"] == 2)
            assert not any(answer.done() for answer in answers)
            for stream in ("downstream", "upstream"):
                await control.remove_toxic("run/edge", stream)
            assert await within(asyncio.gather(*answers)) == [b"o", b"n"]


async def test_a_black_hole_leaves_both_sides_half_open_until_it_goes(control: FaultControl) -> None:
    async with Upstream(idle) as server:
        port = await control.create_proxy("run/half", server.address)
        async with connection(port) as (_, writer), connection(port) as untouched:
            (far, _), (far_untouched, _) = [await within(server.came.get()) for _ in range(2)]
            await control.add_toxic("run/half", {"name": "hole", "type": "black_hole", "stream": "upstream"})
            writer.write(b"gone")
            writer.transport.close()  # the peer is never told
            await toxic_until(control, "run/half", "hole", lambda toxic: toxic is not None and toxic["hits"] == 1)
            assert not far.at_eof()
            await control.remove_toxic("run/half", "hole")
            assert await cut(far)
            untouched[1].write(b"goes on")
            assert await within(far_untouched.readexactly(7)) == b"goes on"


async def test_limit_data_hands_over_its_bytes_before_it_closes(control: FaultControl, port: int) -> None:
    toxic = {"name": "limit", "type": "limit_data", "attributes": {"bytes": 5}}
    await control.add_toxic("run/edge", toxic)
    async with connection(port) as (reader, writer):
        writer.write(b"0123456789")
        assert await within(reader.read()) == b"01234"
