"""System V shared memory: which segments there are, who made them, and their removal (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from dataclasses import dataclass
from pathlib import Path

IPC_RMID = 0
TABLE = Path("/proc/sysvipc/shm")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its id, the pid that made it, the user it belongs to."""

    id: int
    creator: int
    uid: int


def segments() -> list[Segment]:
    """All segments of this machine; none where the system does not list them."""
    if not TABLE.exists():
        return []
    header, *rows = (line.split() for line in TABLE.read_text().splitlines())
    tables = [dict(zip(header, row, strict=False)) for row in rows]
    return [Segment(int(t["shmid"]), int(t["cpid"]), int(t["uid"])) for t in tables]


def recorded(pidfile: Path) -> tuple[int, int] | None:
    """The pid and the segment id that a `postmaster.pid` tells of; None when it does not."""
    try:
        lines = pidfile.read_text(errors="replace").splitlines()
        return abs(int(lines[0])), int(lines[6].split()[1])  # a standalone one, as initdb's, notes minus its pid
    except (FileNotFoundError, IndexError, ValueError):
        return None


def remove(segment: Segment) -> None:
    """Remove the segment; one that has gone is fine. OSError when this user may not."""
    try:
        _remove(segment.id)
    except PermissionError:
        if os.geteuid() != 0:
            raise
        _remove_as_owner(segment)  # root without CAP_SYS_ADMIN, as in a container


def _remove(id_: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.shmctl(id_, IPC_RMID, None) != 0:
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.EIDRM):
            raise OSError(code, os.strerror(code))


def _remove_as_owner(segment: Segment) -> None:
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):  # whatever happens, the copy must go no further
            os.setuid(segment.uid)
            _remove(segment.id)
        os._exit(0)
    os.waitpid(child, 0)
