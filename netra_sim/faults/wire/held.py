"""The bytes of one direction that no message has told yet; joined only when the next message can go on."""

from __future__ import annotations

from netra_sim.faults.wire.base import MOST


class Held:
    """What is kept between slices; `partly` while parts of a long message are told, `blind` when nothing is read."""

    __slots__ = ("_pieces", "_size", "_wanted", "blind", "fresh", "partly")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = self._wanted = 0
        self.blind = self.partly = False
        self.fresh = True  # the next byte begins a message

    def joined(self) -> bytes:
        """All that is kept."""
        return b"".join(self._pieces)

    def take(self, data: bytes) -> bytes | None:
        """What was kept and this, once it is as much as was wanted; else it is kept too."""
        if not self._pieces:
            return data
        self._pieces.append(data)
        self._size += len(data)
        return self.joined() if self._size >= self._wanted or self.blind else None

    def keep(self, data: bytes, start: int, *, wanted: int) -> None:
        """Keep what begins at `start`, to be taken again with at least `wanted` bytes."""
        self._size, self._wanted = len(data) - start, min(wanted, MOST)
        self._pieces = [data[start:]] if self._size else []
        self.fresh = not (self._size or self.partly or self.blind)
