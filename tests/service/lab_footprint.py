"""What a lab leaves its marks on: processes, ports, shared memory, files; taken before its end, looked at after it."""

import asyncio
import os
import pwd
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from netra_sim.lab import ports, state, sysv, tree
from netra_sim.lab.programs import reachable

WITHIN = 15.0
ORDINARY = ("daemon", "nobody")


async def until(condition: Callable[[], object], within: float = WITHIN) -> None:
    """Wait for something that tells nobody when it happens; AssertionError with its last value when it does not."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(0.02)


@dataclass
class Footprint:
    base: Path
    started: dict[int, float | None]
    ports: set[int]
    segments: set[sysv.Segment]
    files: set[Path]
    before: frozenset[sysv.Segment] | None

    @staticmethod
    def of(base: Path, *roots: int, before: frozenset[sysv.Segment] | None = None) -> "Footprint":
        """Everything that these processes, their descendants and the labs below `base` have.

        With `before`, the segments of an earlier time, every later one of a dead process counts as left, too.
        """
        found = {p.pid: p for root in roots for p in tree.family(root)}
        found |= {p.pid: p for p in state.belonging(base)}
        listening, files = set[int](), set[Path]()
        for process in found.values():
            # One that is just ending shows its files to root alone; it is still in `started`.
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                listening |= {c.laddr.port for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
                files |= {Path(m.path) for m in process.memory_maps() if m.path.startswith("/dev/shm/")}
        segments = {s for s in sysv.segments() if s.creator in found}
        started = {pid: tree.start_time(pid) for pid in found}
        return Footprint(base, started, listening, segments, files, before)

    def left(self) -> list[str]:
        """What of it is still there."""
        return [
            *(f"process {pid}" for pid, t in self.started.items() if t is not None and tree.start_time(pid) == t),
            *(f"process {p.pid} in {self.base}" for p in state.belonging(self.base)),
            *(f"port {port}" for port in self.ports if ports.taken(port)),
            *(f"segment {s.id}" for s in self.segments & set(sysv.segments())),
            *(f"new segment {s.id}" for s in self._new() if tree.start_time(s.creator) is None),
            *(f"file {path}" for path in self.files if path.exists()),
            *(f"directory {path}" for path in self.base.glob("*")),
        ]

    def _new(self) -> set[sysv.Segment]:
        return set(sysv.segments()) - self.before if self.before is not None else set()

    async def gone(self) -> None:
        """Wait until nothing is left."""
        try:
            await until(lambda: not self.left())
        except AssertionError:
            raise AssertionError(self.left()) from None


@contextmanager
def base_for(user: str | None = None) -> Iterator[Path]:
    """A directory for labs that any user can enter and this one can write."""
    base = Path(tempfile.mkdtemp(prefix="netra-test-", dir=state.default_base()))
    base.chmod(0o755)
    if user:
        os.chown(base, pwd.getpwnam(user).pw_uid, -1)
    try:
        yield base
    finally:
        for lab in base.glob("netra-sim-*/*"):  # of a test that failed
            state.clear(lab)
        shutil.rmtree(base, ignore_errors=True)


def as_whom(persona: str) -> tuple[str | None, tuple[str, ...]]:
    """The account to own files, and what to put before a command so that this persona runs it; skips what cannot be."""
    root, setpriv = os.geteuid() == 0, shutil.which("setpriv")
    if persona == "ordinary" and not root:
        return None, ()
    if persona == "root" and root:
        return None, ()
    if not (root and setpriv):
        pytest.skip(f"{persona} cannot be played here")
    if persona == "container":  # what Docker takes away from root
        return None, (setpriv, "--bounding-set", "-sys_ptrace,-sys_admin", "--inh-caps", "-sys_ptrace,-sys_admin")
    account = next(name for name in ORDINARY if _exists(name))
    become = (setpriv, "--reuid", account, "--regid", str(pwd.getpwnam(account).pw_gid), "--clear-groups")
    if reachable(Path(sys.executable)):
        return account, become
    # An interpreter in root's home: let the user read what it could read were Python installed for all.
    return account, (*become, "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")


def _exists(name: str) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False
