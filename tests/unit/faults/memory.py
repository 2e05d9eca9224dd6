"""A link with its real stubs between two ends in memory; time moves by hand."""

import heapq
import itertools
from collections.abc import Callable

from netra_sim.faults import kinds
from netra_sim.faults.kinds.base import Kind
from netra_sim.faults.kinds.message import MessageKind
from netra_sim.faults.link import Link
from netra_sim.faults.toxic import Toxic
from netra_sim.kernel.rng import Rng

ON_LINKS = sorted(
    name
    for name, kind in kinds.KINDS.items()
    if not (kind.whole_proxy or kind.at_door or issubclass(kind, MessageKind))
)
LONG = 3600.0  # seconds in which every timer is over


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call, self.cancelled, self.fired = call, False, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """What a link asks of its event loop."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, Timer]] = []

    def time(self) -> float:
        return self._now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        assert seconds >= 0
        timer = Timer(call)
        heapq.heappush(self._timers, (self._now + seconds, next(self._order), timer))
        return timer

    @property
    def pending(self) -> int:
        return sum(not timer.cancelled for _, _, timer in self._timers)

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, due)
            if not timer.cancelled:
                timer.fired = True
                timer.call()
        self._now = end


class Socket:
    """A transport in memory that records what happens to it."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.ends = 0
        self.reading = True
        self._closing = False

    @property
    def data(self) -> bytes:
        return b"".join(self.said)

    def write(self, data: bytes) -> None:
        assert self.ends == 0, "data after the end"
        self.said.append(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def write_eof(self) -> None:
        self.ends += 1

    def can_write_eof(self) -> bool:
        return True

    def get_extra_info(self, name: str) -> None:
        """It has no socket of the kernel's."""

    def close(self) -> None:
        self._closing = True

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Wire:
    """The connection of one link."""

    number = 1

    def __init__(self, *, joined: bool = True) -> None:
        self.loop, self.source, self.out = Loop(), Socket(), Socket()
        self.closed = self.was_reset = self.hung_up = False
        self.link = Link(self, self.loop)  # type: ignore[arg-type]
        self.link.source = self.source  # type: ignore[assignment]
        self.link.read_or_wait()
        if joined:
            self.join()

    def join(self) -> None:
        self.link.joined(self.out)  # type: ignore[arg-type]

    def add(self, kind: Kind, name: str = "fault") -> Toxic:
        toxic = Toxic(name, kind, "downstream")
        self.link.add(toxic, Rng(1).stream(name))
        return toxic

    def close(self) -> None:
        self.closed = True
        self._end()

    def hang_up(self) -> None:
        self.hung_up = True
        self.source.close()
        self.out.close()

    def reset(self) -> None:
        self.was_reset = True
        self._end()

    def finished(self) -> None:
        """The other direction never ends here."""

    def _end(self) -> None:
        self.source.close()
        self.out.close()
        self.link.clear()
