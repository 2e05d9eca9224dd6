"""A thousand times a fault is set on full pipelines and taken away: that never hangs, and loses no byte in flight.

Questions are numbered. Under kinds that lose nothing an answer comes, byte for byte and in order. Under all others the
connection has ended, or what is asked once the fault has gone is answered; and a new connection is as good as any.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
import websockets.asyncio.server as ws

from netra_sim.faults import given
from netra_sim.faults.kinds import KINDS, ON_BYTES
from netra_sim.faults.kinds.message import PROTOCOLS, MessageKind
from netra_sim.faults.proxy import Proxy
from netra_sim.faults.toxic import Toxic
from netra_sim.faults.wire.base import STREAMS
from netra_sim.kernel.rng import Rng
from netra_sim.lab.lab import Lab
from tests.service.proxying import Upstream, cut, within

LIMIT = 5.0  # seconds: only a hang takes longer
CYCLES = 9  # of each case
AT_ONCE = 2  # connections
FIRST = 10_000_000  # the number of the first question
STARTUP = b"\0\3\0\0user\0postgres\0database\0postgres\0\0"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


@dataclass(frozen=True)
class Talk:
    """A question, to be numbered anew each time, and how its answer ends; a hello and how its answer ends."""

    protocol: str
    ask: bytes
    end: bytes
    hello: bytes = b""
    ready: bytes = b""


TALKS = {
    "echo": Talk("", b"%d%b\n" % (FIRST, b"x" * 4_000), b"\n"),
    "redis": Talk("redis", b"*2\r\n$4\r\nECHO\r\n$8\r\n%d\r\n" % FIRST, b"%d\r\n" % FIRST),
    "postgres": Talk(
        "postgres", b"Q\0\0\0\x14SELECT %d\0" % FIRST, b"Z\0\0\0\5I",
        (len(STARTUP) + 4).to_bytes(4, "big") + STARTUP, b"Z\0\0\0\5I",
    ),
    "http": Talk("http", b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % FIRST, b"%d" % FIRST),
    "frames": Talk("http", b"\x81\x88\0\0\0\0%d" % FIRST, b"%d" % FIRST, UPGRADE, b"\r\n\r\n"),
}  # fmt: skip
OWN = {"pg_error": "postgres", "redis_error": "redis", "redis_value": "redis", "ws_close": "frames"}
GIVEN: dict[str, list[dict[str, Any]]] = {
    "latency": [{"latency": 20, "jitter": 10}], "bandwidth": [{"rate": 500}], "slow_close": [{"delay": 60_000}],
    "slicer": [{"average_size": 200, "size_variation": 100, "delay": 100}], "limit_data": [{"bytes": 300}],
    "corrupt": [{"every": 100}], "reset_peer": [{}, {"timeout": 60_000}],
    "delay_message": [{"delay": 20, "jitter": 10}], "truncate_message": [{"bytes": 3}],
    "http_body": [{"how": "slow", "delay": 2}, {"how": "malformed"}, {}],
    "cut": [{"when": "before"}, {"when": "after"}],
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    kind: str
    talk: str
    stream: str
    attributes: dict[str, Any]

    def __str__(self) -> str:
        return " ".join([self.kind, self.talk, self.stream, *map(str, self.attributes.values())])

    @property
    def lossless(self) -> bool:
        ends = self.kind == "down" or (self.kind == "reset_peer" and not self.attributes)
        return not KINDS[self.kind].discards and not ends


def _cases(kind: str) -> list[Case]:
    made = KINDS[kind]
    talks, streams = ["echo", "redis"], STREAMS
    if issubclass(made, MessageKind):
        talks = [OWN[kind]] if kind in OWN else ["http"]
        if made.protocols == PROTOCOLS:
            talks = ["redis", "postgres", "http", "frames"]
        else:
            streams = (made.stream,)
    elif made.at_door or made.whole_proxy:
        streams = ("downstream",)
    elif made.discards or kind == "slow_close":
        talks = ["echo"]  # Redis waits for what was lost of a command, and answers nobody who has ended
    return [Case(kind, talk, stream, one) for talk in talks for stream in streams for one in GIVEN.get(kind, [{}])]


NOTHING_TO_CORRUPT = Case("corrupt_message", "http", "upstream", {})  # in a request without a body
CASES = [case for kind in KINDS for case in _cases(kind) if case != NOTHING_TO_CORRUPT]


class Flow:
    """A connection with a pipeline of questions."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._number = FIRST
        self._unsent = b""
        self._wanted = b""  # answers to what was asked

    async def open(self, port: int) -> None:
        self._reader, self._writer = await within(asyncio.open_connection("127.0.0.1", port, limit=1 << 22))
        if self._talk.hello:
            self._writer.write(self._talk.hello)
            await within(self._reader.readuntil(self._talk.ready))
        self._writer.write(self._talk.ask)
        self._answer = await within(self._reader.readuntil(self._talk.end))
        assert b"%d" % FIRST in self._answer

    def ask(self, times: int, back: int = 0) -> None:
        """Without waiting for any answer; so many bytes of the last question come with the next ones."""
        for _ in range(times):
            self._number += 1
            self._unsent += self._talk.ask.replace(b"%d" % FIRST, b"%d" % self._number)
            self._wanted += self._answer.replace(b"%d" % FIRST, b"%d" % self._number)
        sent = len(self._unsent) - back
        self._writer.write(self._unsent[:sent])
        self._unsent = self._unsent[sent:]

    async def ended(self) -> None:
        """All that was asked is answered, after which comes the end."""
        assert await within(self._reader.read(), LIMIT) == self._wanted

    def end(self) -> None:
        """No more questions."""
        self._writer.write_eof()

    async def answered(self, kind: str, lossless: bool) -> bool:
        """Read to the answer of the last question; False where the connection has ended, as it may if not lossless."""
        last = self._answer.replace(b"%d" % FIRST, b"%d" % self._number)
        try:
            got = await within(self._reader.readuntil(last), LIMIT)
        except (ConnectionError, asyncio.IncompleteReadError):
            assert not lossless
            return False
        wanted, self._wanted = self._wanted, b""
        if kind == "reorder_message":
            assert (len(got), sorted(_numbers(got))) == (len(wanted), sorted(_numbers(wanted)))
        elif kind == "duplicate_message":
            assert set(_numbers(got)) == set(_numbers(wanted))
        else:
            assert got == wanted or not lossless
        return True

    def close(self) -> None:
        self._writer.transport.abort()


def _numbers(data: bytes) -> list[bytes]:
    return re.findall(rb"1\d{7}", data)


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with the path."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.partition(b"/")[2].partition(b" ")[0]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))
    writer.close()


async def repeat(socket: ws.ServerConnection) -> None:
    async for frame in socket:
        await socket.send(frame)


@contextlib.asynccontextmanager
async def server(talk: str, lab: Lab) -> AsyncIterator[str]:
    """Its address."""
    match talk:
        case "echo":
            async with Upstream() as upstream:
                yield upstream.address
        case "http":
            async with Upstream(http) as upstream:
                yield upstream.address
        case "frames":
            async with ws.serve(repeat, "127.0.0.1", 0, compression=None) as running:
                yield f"127.0.0.1:{running.sockets[0].getsockname()[1]}"
        case _:
            yield f"127.0.0.1:{(lab.postgres if talk == 'postgres' else lab.redis).port}"


class Removal:
    """The cycles of one case."""

    def __init__(self, case: Case, proxy: Proxy) -> None:
        self._case, self._proxy = case, proxy
        self._rng = Random(str(case))
        self._flows: list[Flow] = []

    async def run(self) -> None:
        try:
            for _ in range(CYCLES):
                while len(self._flows) < AT_ONCE:
                    self._flows.append(Flow(TALKS[self._case.talk]))
                    await self._flows[-1].open(int(self._proxy.listen.rpartition(":")[2]))
                await self._cycle()
        finally:
            for flow in self._flows:
                flow.close()

    async def _cycle(self) -> None:
        case, proxy = self._case, self._proxy
        toxic = self._toxic()
        self._ask(1, 20, 9)
        await proxy.add(toxic)
        if KINDS[case.kind].at_door:
            with contextlib.suppress(ConnectionResetError):
                await cut((await asyncio.open_connection(*proxy.listen.split(":")))[0])
        self._ask(5, 40, 0 if case.kind == "slow_close" else 9)
        if case.kind == "slow_close":
            for flow in self._flows:
                flow.end()
        await within(self._struck(toxic), LIMIT)
        await within(proxy.remove(toxic), LIMIT)
        assert (toxic.errors, proxy.toxics) == (0, [])
        if case.kind == "slow_close":
            await asyncio.gather(*(flow.ended() for flow in self._flows))
            self._flows.clear()
            return
        self._ask(1, 20)
        alive = await asyncio.gather(*(flow.answered(case.kind, case.lossless) for flow in self._flows))
        self._flows = [flow for flow, lives in zip(self._flows, alive, strict=True) if lives]

    def _ask(self, least: int, most: int, back: int = 0) -> None:
        """A batch on each connection, all but up to so many bytes."""
        for flow in self._flows:
            flow.ask(self._rng.randint(least, most), self._rng.randint(0, back))

    async def _struck(self, toxic: Toxic) -> None:
        """It has hit or holds bytes, for some turns of the loop, in which the proxy works."""
        stream = toxic.stream
        before = self._proxy.traffic(stream)[0]
        fuse = self._case.kind == "reset_peer" and bool(self._case.attributes)
        while not (toxic.hits or (fuse and self._proxy.traffic(stream)[0] > before)):  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(self._rng.randrange(4)):
            await asyncio.sleep(0)

    def _toxic(self) -> Toxic:
        case = self._case
        match = {} if case.kind in ON_BYTES else {"match": {"every": self._rng.randint(1, 3)}}
        body = {"type": case.kind, "stream": case.stream, "attributes": {**case.attributes, **match}}
        return given.toxic(body, [], self._proxy.protocol)


def test_it_is_a_thousand_times() -> None:
    assert CYCLES * len(CASES) >= 1000
    assert {case.kind for case in CASES} == set(KINDS)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_removal_under_load_never_hangs_and_loses_no_byte(lab: Lab, case: Case) -> None:
    async with server(case.talk, lab) as address:
        proxy = Proxy("removal", "127.0.0.1:0", address, Rng(1), TALKS[case.talk].protocol)
        await proxy.open()
        try:
            await Removal(case, proxy).run()
        finally:
            await proxy.close()
