"""One client's connection: what goes out, in order, bounded; a slow client is closed, never allowed to pile up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from netra_sim.backend.chat.stream import Cursor
from netra_sim.backend.errors import PlatformError
from netra_sim.backend.reliability.policy import Unavailable
from netra_sim.backend.reliability.together import together

Read = Callable[[int], Awaitable[list[tuple[int, bytes]]]]
Send = Callable[[bytes], Awaitable[None]]


class Socket:
    """Durable frames in the order of their seq, exactly once; ephemeral ones beside them while there is room."""

    def __init__(self, send: Send, read: Read, soft: int, hard: int) -> None:
        self._send, self._read = send, read
        self._soft, self._hard = soft, hard
        self._cursor = Cursor()
        self._out: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._overflow = asyncio.Event()

    @property
    def resumed(self) -> bool:
        """True once the client has said where it stands."""
        return self._cursor.position is not None

    def resume(self, last_seq: int) -> None:
        """Go on behind `last_seq`: what the store holds first, then what comes."""
        self._cursor.resume(last_seq)
        self._wake.set()

    def offer(self, seq: int, frame: bytes) -> None:
        """A committed frame: queue it when it is the next one; else the writer asks the store."""
        if self._cursor.offer(seq) == "send":
            self.durable(seq, frame)
        self._wake.set()

    def newest(self, seq: int) -> None:
        """The stream reaches up to `seq`; whatever is missing is read from the store."""
        self._cursor.wanted = max(self._cursor.wanted, seq)
        self._wake.set()

    def tell(self, frame: bytes) -> None:
        """An ephemeral frame: dropped when the client is that far behind."""
        if len(self._out) < self._soft:
            self._queue(frame)

    async def write(self) -> None:
        """Send for ever; PlatformError `slow_consumer` when the client does not keep up."""
        await together(self._forward(), self._guard())

    async def drain(self) -> None:
        """Send what is queued now, before a close."""
        await self._flush()

    async def _forward(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._flush()
            if self._cursor.behind:
                await self._replay()

    async def _guard(self) -> None:
        """Beside the sending, because a send to a client that reads nothing does not return."""
        await self._overflow.wait()
        raise PlatformError("slow_consumer")

    async def _flush(self) -> None:
        while self._out:
            await self._send(self._out.popleft())

    async def _replay(self) -> None:
        try:
            rows = await self._read(self._cursor.position or 0)
        except Unavailable:
            return  # the hub looks again in a moment and wakes this socket
        before = self._cursor.position
        for seq, frame in rows[: self._hard - len(self._out)]:  # the rest is read when these have gone out
            if self._cursor.offer(seq) == "send":
                self.durable(seq, frame)
        if self._cursor.position != before:  # without progress, wait for the hub to look again
            self._wake.set()

    def durable(self, _seq: int, frame: bytes) -> None:
        """The next frame of the stream: it goes out once."""
        self._queue(frame)

    def _queue(self, frame: bytes) -> None:
        if len(self._out) >= self._hard:
            self._overflow.set()  # the socket ends here, and the client resumes behind what it got
            return
        self._out.append(frame)
        self._wake.set()
