"""Faults of processes: killed, frozen, started again, out of files or memory, with a wrong clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from netra_sim.kernel.errors import BadValue, UnknownName
from netra_sim.kernel.rng import Rng

STORE_KINDS = ("read_only", "out_of_memory")  # states of a running Redis
LIMITS = {"limit_files": "files", "limit_memory": "memory"}
CLOCK = "clock_offset"
BLOWS = ("kill", "pause", "restart")
PROCESS_KINDS = (*BLOWS, *LIMITS, CLOCK, *STORE_KINDS)
WORKER = "worker"  # as a target: one of the workers, chosen by seed; worker-1, worker-2, ... are the workers themselves
PROXY = "proxy"  # the process that the faults are in
MOST_SECONDS = 100 * 366 * 86400  # a clock is wrong by a century at most


class Killable(Protocol):
    """A process that faults may strike."""

    name: str

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        ...

    async def kill(self) -> None:
        """SIGKILL."""
        ...

    async def restart(self) -> None:
        """Start it again on the same data and port."""
        ...

    async def pause(self) -> None:
        """Freeze it."""
        ...

    async def resume(self) -> None:
        """Let it go on."""
        ...

    async def limit(self, what: str, more: int) -> None:
        """Give it and its descendants so many more `files`, or MB of `memory`, than each holds now."""
        ...

    async def unlimit(self, what: str) -> None:
        """Give them their former limit of `files` or `memory` back."""
        ...

    async def offset_clock(self, seconds: float) -> None:
        """Start it again, in order, with a clock that is wrong by so much; 0 for the right time."""
        ...

    async def read_only(self) -> None:
        """Refuse writes."""
        ...

    async def out_of_memory(self) -> None:
        """Refuse what needs more memory."""
        ...

    async def restore(self) -> None:
        """End both."""
        ...


class OnProcess:
    """A step's blow to a process; it hits what runs."""

    def __init__(self, process: Killable, kind: str, attributes: Mapping[str, Any]) -> None:
        self._process, self._kind, self._attributes = process, kind, attributes
        self._hits = 0

    async def strike(self) -> int:
        """Do it; the hits: none where a kill found nothing alive, as when another has killed it before."""
        process, hits = self._process, 1
        match self._kind:
            case "pause":
                await process.pause()
            case "limit_files" | "limit_memory" as kind:
                await process.limit(LIMITS[kind], self._attributes.get("more", 0))
            case "clock_offset":
                await process.offset_clock(self._attributes["seconds"])
            case "read_only":
                await process.read_only()
            case "out_of_memory":
                await process.out_of_memory()
            case _:
                hits = int(process.alive)
                await process.kill()
        self._hits = hits
        return hits

    async def heal(self) -> int:
        """Undo it; the hits."""
        match self._kind:
            case "pause":
                await self._process.resume()
            case "limit_files" | "limit_memory" as kind:
                await self._process.unlimit(LIMITS[kind])
            case "clock_offset":
                await self._process.offset_clock(0)
            case "read_only" | "out_of_memory":
                await self._process.restore()
            case _:
                await self._process.restart()
        return self._hits


def check(kind: str, target: str, attributes: Mapping[str, Any]) -> None:
    """UnknownName or BadValue for a target or an attribute that this kind does not take."""
    if target == PROXY:
        raise BadValue(field="target", value=target, allowed="a service or a worker: the proxy is what faults are in")
    if kind in STORE_KINDS and target != "redis":
        raise BadValue(field="target", value=target, allowed=f"redis, for {kind}")
    if kind == CLOCK and not is_worker(target):
        raise BadValue(field="target", value=target, allowed=f"worker, worker-1, worker-2, for {kind}")
    known = ["more"] if kind in LIMITS else ["seconds"] if kind == CLOCK else []
    for name in attributes:
        if name not in known:
            raise UnknownName(what=f"attribute of {kind}", name=name, known=", ".join(known) or "none")
    more = attributes.get("more", 0)
    if not _number(more) or not isinstance(more, int) or not 0 <= more < 1 << 31:
        raise BadValue(field="attributes.more", value=more, allowed="an integer, 0 or more")
    seconds = attributes.get("seconds", 0)
    if kind == CLOCK and (not _number(seconds) or seconds == 0 or abs(seconds) > MOST_SECONDS):
        raise BadValue(field="attributes.seconds", value=seconds, allowed="seconds, not 0, of a century at most")


def is_worker(target: str) -> bool:
    """Whether it names a worker, or any."""
    return target == WORKER or target.startswith(f"{WORKER}-")


def chosen(target: str, processes: Iterable[str], seed: int, number: int) -> str:
    """The process that step `number` strikes: of the target `worker` one that the seed chooses; UnknownName."""
    known = list(processes)
    workers = sorted(filter(is_worker, known))
    if target == WORKER and workers:
        return Rng(seed).child("faults", number).stream("worker").choice(workers)
    if target not in known:
        raise UnknownName(what="process", name=target, known=", ".join([*known, *[WORKER][: len(workers)]]))
    return target


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
