"""A link by itself: order of the chain, early bytes, ends, back-pressure; and in front of a socket of the kernel's."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from netra_sim.faults.kinds.latency import Latency
from netra_sim.faults.kinds.timeout import Timeout
from tests.unit.faults.memory import Wire


def test_bytes_and_end_that_come_before_the_socket_wait_for_it() -> None:
    wire = Wire(joined=False)
    assert not wire.source.reading  # nobody to hand it to; a loop may deliver a chunk nevertheless
    wire.link.feed(b"early ")
    wire.link.feed(b"bird")
    wire.link.ended()
    wire.join()
    assert (wire.out.data, wire.out.ends) == (b"early bird", 1)


def test_nothing_is_read_before_the_socket_is_there_even_with_a_fault() -> None:
    wire = Wire(joined=False)
    toxic = wire.add(Latency(10))
    wire.link.feed(b"early")
    wire.link.congested(False)
    wire.link.remove(toxic)
    assert not wire.source.reading
    wire.join()
    assert wire.source.reading


def test_a_congested_socket_stops_the_source() -> None:
    wire = Wire()
    wire.link.congested(True)
    assert not wire.source.reading
    wire.link.congested(False)
    assert wire.source.reading


def test_an_ended_source_is_not_read_again() -> None:
    wire = Wire()
    wire.link.congested(True)
    wire.link.ended()
    wire.link.congested(False)
    assert not wire.source.reading  # a loop would tell its end once more


def test_a_source_that_ends_twice_ends_once() -> None:
    wire = Wire()
    wire.add(Latency(10))
    wire.link.ended()
    wire.link.ended()
    wire.loop.advance(1)
    assert wire.out.ends == 1


def test_a_source_that_is_lost_closes_the_socket() -> None:
    wire = Wire()
    wire.source.close()
    wire.link.ended()
    assert wire.out.is_closing()


def test_a_source_that_ended_and_is_lost_later_closes_the_socket() -> None:
    wire = Wire()
    wire.link.ended()
    assert not wire.out.is_closing()  # half-closed: the other direction goes on
    wire.source.close()
    wire.link.ended()
    assert wire.out.is_closing()


def test_a_source_lost_while_bytes_are_held_closes_after_them() -> None:
    wire = Wire()
    wire.add(Latency(10))
    wire.link.feed(b"last")
    wire.link.ended()
    wire.source.close()
    wire.link.ended()
    assert not wire.out.is_closing()
    wire.loop.advance(1)
    assert wire.out.is_closing()
    assert wire.out.data == b"last"


def test_bytes_pass_the_faults_in_the_order_they_were_set() -> None:
    wire = Wire()
    first = wire.add(Latency(100), "first")
    second = wire.add(Timeout(), "second")
    wire.link.feed(b"abc")
    assert second.hits == 0
    wire.loop.advance(0.2)
    assert (first.hits, second.hits) == (1, 1)


def test_what_one_fault_lets_go_reaches_the_next() -> None:
    wire = Wire()
    first, second = wire.add(Latency(100), "first"), wire.add(Latency(100), "second")
    wire.link.feed(b"abc")
    wire.link.remove(first)
    wire.loop.advance(0.09)
    assert (wire.out.data, second.hits) == (b"", 1)
    wire.loop.advance(0.02)
    assert wire.out.data == b"abc"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_small_chunks_stay_in_order_when_the_socket_takes_part_of_one(run: Callable[..., None]) -> None:
    run(_crowd(b"%05d" % n * 800 for n in range(500)))


async def _crowd(chunks: Any) -> None:
    """Chunks into a socket that nobody reads until all are written."""
    near, far = socket.socketpair()
    out = await _transport(near)
    wire, said = Wire(joined=False), list(chunks)
    wire.out = out
    wire.join()
    for chunk in said:
        wire.link.feed(chunk)
    assert out.get_write_buffer_size() > 0, "the socket took everything: nothing was shown"
    wire.link.ended()
    reader, writer = await asyncio.open_connection(sock=far)
    assert await reader.read(-1) == b"".join(said)
    assert wire.link.sent == wire.link.received == sum(map(len, said))
    writer.close()
    out.abort()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_small_chunk_does_not_overtake_what_waits_though_the_socket_has_room_again(run: Callable[..., None]) -> None:
    run(_room_again())


async def _room_again() -> None:
    near, far = socket.socketpair()
    out = await _transport(near)
    wire, said = Wire(joined=False), list[bytes]()
    wire.out = out
    wire.join()
    while not out.get_write_buffer_size():
        said.append(b"%05d" % len(said) * 800)
        wire.link.feed(said[-1])
    got = far.recv(1 << 20)  # the loop has not run since: the transport does not know of the room
    said.append(b"last")
    wire.link.feed(said[-1])
    wire.link.ended()
    reader, writer = await asyncio.open_connection(sock=far)
    assert got + await reader.read(-1) == b"".join(said)
    writer.close()
    out.abort()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_write_to_a_socket_whose_peer_has_gone_is_told_by_the_transport(run: Callable[..., None]) -> None:
    run(_gone())


async def _gone() -> None:
    near, far = socket.socketpair()
    lost = asyncio.get_running_loop().create_future()
    out = await _transport(near, lost)
    wire = Wire(joined=False)
    wire.out = out
    wire.join()
    far.close()
    wire.link.feed(b"nobody")
    async with asyncio.timeout(1):
        await lost


async def _transport(sock: socket.socket, lost: "asyncio.Future[None] | None" = None) -> Any:
    class Told(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            if lost is not None and not lost.done():
                lost.set_result(None)

    transport, _ = await asyncio.get_running_loop().create_connection(Told, sock=sock)
    return transport
