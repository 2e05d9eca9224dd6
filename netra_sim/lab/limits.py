"""Limits of running processes: so many more open files, or megabytes of memory, than each holds now.

Only the soft limits are lowered, so that they can be raised again without privileges; see prlimit(2).
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from netra_sim.kernel.errors import LabError
from netra_sim.lab import tree

MEGABYTE = 1 << 20
UNLIMITED = -1
Pair = tuple[int, int]  # soft and hard


def possible() -> bool:
    """Whether this system can limit a process that runs."""
    return bool(KINDS)


class Limits:
    """What was limited in one server's processes; the former limit of each stays known while it lives."""

    def __init__(self) -> None:
        self._former: dict[str, dict[psutil.Process, Pair]] = {}

    def lower(self, pid: int, what: str, more: int) -> None:
        """Give it and its descendants so many more than each holds now; LabError, and nothing done, where it cannot."""
        if what not in KINDS:
            raise LabError(detail=f"This system ({sys.platform}) cannot limit the {what} of a running process.")
        number, most = KINDS[what]
        former = {p: pair for p, pair in self._former.get(what, {}).items() if p.is_running()}
        wanted: dict[psutil.Process, Pair] = {}
        for process in tree.family(pid):
            with _told(process, what):
                soft, hard = former.setdefault(process, _get(process, number))
                most_now = most(process, more)
                wanted[process] = (most_now if soft == UNLIMITED else min(most_now, soft), hard)
        self._former[what] = former
        for process, pair in wanted.items():
            with _told(process, what):
                _set(process, number, pair)

    def restore(self, pid: int, what: str) -> None:
        """Give them back what they had; a child born meanwhile gets what its server had."""
        for process, pair in self._owed(pid, what):
            with _told(process, what):
                _set(process, KINDS[what][0], pair)

    def left(self, pid: int) -> list[str]:
        """What is not as it was before it was limited."""
        return [what for what in self._former if any(self._differs(*each, what) for each in self._owed(pid, what))]

    def _owed(self, pid: int, what: str) -> list[tuple[psutil.Process, Pair]]:
        """The processes with the limits that they had; none for a server that was started again."""
        former, family = self._former.get(what, {}), tree.family(pid)
        if not family or family[0] not in former:
            return []
        return [(process, former.get(process, former[family[0]])) for process in family]

    def _differs(self, process: psutil.Process, pair: Pair, what: str) -> bool:
        now = pair
        with _told(process, what):
            now = _get(process, KINDS[what][0])
        return now != pair


def _files(process: psutil.Process, more: int) -> int:
    """A limit bounds the numbers that new files get: those that are free below it are as many as are left."""
    used = {int(entry.name) for entry in Path(f"/proc/{process.pid}/fd").iterdir()}
    free = (number for number in itertools.count() if number not in used)
    return next(itertools.islice(free, more, None))


def _memory(process: psutil.Process, more: int) -> int:
    return int(process.memory_info().vms) + more * MEGABYTE


KINDS: dict[str, tuple[int, Callable[[psutil.Process, int], int]]] = {}
if sys.platform == "linux":
    KINDS = {"files": (psutil.RLIMIT_NOFILE, _files), "memory": (psutil.RLIMIT_AS, _memory)}

    def _get(process: psutil.Process, number: int) -> Pair:
        soft, hard = process.rlimit(number)
        return soft, hard

    def _set(process: psutil.Process, number: int, pair: Pair) -> None:
        process.rlimit(number, pair)

else:

    def _get(process: psutil.Process, number: int) -> Pair:
        raise AssertionError(number)

    def _set(process: psutil.Process, number: int, pair: Pair) -> None:
        raise AssertionError(number)


@contextlib.contextmanager
def _told(process: psutil.Process, what: str) -> Iterator[None]:
    """A process that has ended needs nothing; one that is not ours to limit is told."""
    try:
        yield
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        pass
    except (psutil.AccessDenied, PermissionError) as error:
        why = "it belongs to another user, which takes CAP_SYS_RESOURCE"
        raise LabError(detail=f"The {what} of process {process.pid} cannot be limited: {why}.") from error
