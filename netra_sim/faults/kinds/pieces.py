"""What faults have in common that hand a stream on in pieces: a queue that keeps order, and the end behind it."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from random import Random
from typing import TypeVar

from netra_sim.faults.kinds.base import Kind, Stub, Timer, Way

K = TypeVar("K", bound=Kind)


class Pieces(Stub[K]):
    """A queue on the link; `begin` hands on its first piece, now or later. A hit is a chunk."""

    def __init__(self, kind: K, way: Way, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self.queue: deque[bytes] = deque()
        self.timer: Timer | None = None
        self._held = 0
        self._ended = False

    @abstractmethod
    def begin(self) -> None:
        """Hand on a piece of the queue, or set the timer that does."""

    def data(self, chunk: bytes) -> None:
        """Queued; begins at once when no piece is on its way."""
        self.way.hit()
        self.queue.append(chunk)
        self._hold(len(chunk))
        if self.timer is None:
            self.begin()

    def eof(self) -> None:
        """Told behind the last piece."""
        self._ended = True
        if not self.queue:
            self.way.eof()

    def remove(self) -> None:
        """Everything that is queued goes on at once."""
        self.stop()
        while self.queue:
            self.hand_on(self.queue.popleft())

    def cut(self, size: int) -> bytes:
        """The first `size` bytes of the first chunk; what is left of it stays in front."""
        chunk = self.queue.popleft()
        if len(chunk) > size:
            self.queue.appendleft(chunk[size:])
        return chunk[:size]

    def hand_on(self, piece: bytes) -> None:
        """Write a piece, and the end of the stream behind the last one."""
        self._hold(-len(piece))
        self.way.write(piece)
        if self._ended and not self.queue:
            self.way.eof()

    def stop(self) -> None:
        """No piece is on its way any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _hold(self, more: int) -> None:
        self._held += more
        self.way.hold(self._held)
