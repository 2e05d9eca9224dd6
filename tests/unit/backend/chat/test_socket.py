import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from netra_sim.backend.chat.socket import Socket
from netra_sim.backend.errors import PlatformError
from netra_sim.backend.reliability.policy import Unavailable


def frame(seq: int) -> bytes:
    return b"%d" % seq


class Client:
    """The other end: what it got, and a gate that a test shuts to make it read nothing."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()
        self.arrived = asyncio.Condition()

    async def send(self, frame: bytes) -> None:
        await self.open.wait()
        async with self.arrived:
            self.got.append(frame)
            self.arrived.notify_all()

    async def has(self, *expected: bytes) -> None:
        async with asyncio.timeout(1), self.arrived:
            await self.arrived.wait_for(lambda: len(self.got) >= len(expected))
        assert self.got == list(expected)


class Store:
    """The user's stream; `away` is raised instead of an answer."""

    def __init__(self, newest: int = 0) -> None:
        self.newest, self.page, self.reads = newest, 1000, []
        self.away: Exception | None = None
        self.asked = asyncio.Event()

    async def read(self, position: int) -> list[tuple[int, bytes]]:
        self.reads.append(position)
        self.asked.set()
        await asyncio.sleep(0)
        if self.away:
            raise self.away
        return [(seq, frame(seq)) for seq in range(position + 1, self.newest + 1)][: self.page]


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def open_socket(client: Client, store: Store) -> AsyncIterator[Callable[..., Awaitable[Socket]]]:
    tasks = []

    async def make(soft: int = 200, hard: int = 1000) -> Socket:
        socket = Socket(client.send, store.read, soft, hard)
        tasks.append(asyncio.create_task(socket.write()))
        return socket

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_comes_before_resume_is_replayed_from_the_store(open_socket, client: Client, store: Store):
    socket = await open_socket()
    assert not socket.resumed
    store.newest = 3
    for seq in (1, 2, 3):
        socket.offer(seq, frame(seq))
    socket.resume(1)
    assert socket.resumed
    await client.has(frame(2), frame(3))


async def test_live_frames_follow_without_asking_the_store(open_socket, client: Client, store: Store):
    socket = await open_socket()
    socket.resume(0)
    socket.offer(1, frame(1))
    socket.offer(1, frame(1))
    socket.offer(2, frame(2))
    await client.has(frame(1), frame(2))
    assert store.reads == []


async def test_a_hole_is_filled_from_the_store_in_order(open_socket, client: Client, store: Store):
    socket = await open_socket()
    socket.resume(0)
    store.newest = 4
    socket.offer(4, frame(4))
    socket.offer(1, frame(1))
    await client.has(*map(frame, (1, 2, 3, 4)))


async def test_newest_wakes_a_socket_that_missed_everything(open_socket, client: Client, store: Store):
    socket = await open_socket()
    socket.resume(0)
    store.newest = 2
    socket.newest(2)
    await client.has(frame(1), frame(2))


async def test_pages_are_read_until_the_end(open_socket, client: Client, store: Store):
    store.newest, store.page = 25, 10
    socket = await open_socket()
    socket.resume(0)
    socket.newest(25)
    await client.has(*map(frame, range(1, 26)))


async def test_a_replay_longer_than_the_buffer_is_no_slow_consumer(open_socket, client: Client, store: Store):
    store.newest = 50
    socket = await open_socket(hard=10)
    socket.resume(0)
    socket.newest(50)
    await client.has(*map(frame, range(1, 51)))


async def test_a_store_that_is_away_is_asked_again_when_the_hub_looks(open_socket, client: Client, store: Store):
    store.newest, store.away = 2, Unavailable("postgres", 3, "TimeoutError", 1.0)
    socket = await open_socket()
    socket.resume(0)
    socket.newest(2)
    await store.asked.wait()
    assert client.got == []
    store.away = None
    socket.newest(2)
    await client.has(frame(1), frame(2))


async def test_a_hole_in_the_store_is_not_asked_for_in_a_loop(open_socket, client: Client, store: Store):
    async def holed(position: int) -> list[tuple[int, bytes]]:
        store.reads.append(position)
        store.asked.set()
        return [(7, frame(7))]

    store.read = holed  # type: ignore[method-assign]
    socket = await open_socket()
    socket.resume(0)
    socket.newest(7)
    await store.asked.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert store.reads == [0]
    assert client.got == []


async def test_overflow_ends_the_socket_although_the_client_reads_nothing(client: Client, store: Store):
    socket = Socket(client.send, store.read, soft=2, hard=5)
    client.open.clear()
    socket.resume(0)
    writing = asyncio.create_task(socket.write())
    for seq in range(1, 20):
        socket.offer(seq, frame(seq))
        await asyncio.sleep(0)
    with pytest.raises(PlatformError) as told:
        await asyncio.wait_for(writing, 1)
    assert (told.value.code, told.value.entry.close) == ("slow_consumer", 1013)
    assert len(socket._out) <= 5


async def test_ephemeral_frames_are_dropped_when_the_client_is_behind_durable_ones_are_not(
    client: Client, store: Store
):
    socket = Socket(client.send, store.read, soft=2, hard=10)
    socket.resume(0)
    for seq in (1, 2, 3):
        socket.offer(seq, frame(seq))
    socket.tell(b"pong")
    await socket.drain()
    socket.tell(b"pong again")
    await socket.drain()
    assert client.got == [frame(1), frame(2), frame(3), b"pong again"]


async def test_a_lost_client_ends_the_writing_with_its_own_error(store: Store):
    async def gone(_frame: bytes) -> None:
        raise ConnectionResetError

    socket = Socket(gone, store.read, 200, 1000)
    socket.tell(b"pong")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(socket.write(), 1)
