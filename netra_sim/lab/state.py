"""The lab directory: who owns it, what belongs to it, and its removal with all that a crash left."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISDIR
from typing import IO

import psutil

from netra_sim.kernel.errors import BadValue, LabError
from netra_sim.lab import sysv, tree

NOTE, PREFIX, DRAFT = "lab.json", "lab-", ".new-"
SHM = Path("/dev/shm")
SPACE = 1 << 30  # bytes that must be free in /dev/shm for a lab to lie there


class Place:
    """A lab's directory, `<base>/netra-sim-<uid>/<id>`; its owner holds a lock on its note while it lives."""

    def __init__(self, base: Path | None = None) -> None:
        self.id = f"{PREFIX}{secrets.token_hex(6)}"
        self.path = home(base or default_base()) / self.id
        self._lock: IO[str] | None = None

    def create(self) -> None:
        """Make the directory, note the owner and lock it; nobody sees it without note and lock."""
        draft = self.path.with_name(DRAFT + self.id)
        _make_inside_home(draft)
        self._lock = (draft / NOTE).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        note = {"pid": os.getpid(), "started": psutil.Process().create_time(), "created": time.time()}
        self._lock.write(json.dumps(note))
        self._lock.flush()
        draft.rename(self.path)

    def folder(self, name: str) -> Path:
        """A private folder in it, for one process to have as its current directory."""
        path = self.path / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def remove(self) -> None:
        """Kill what belongs to it, remove it, give the lock back."""
        clear(self.path)
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def default_base() -> Path:
    """/dev/shm when a lab fits there, else the directory for temporary files."""
    roomy = SHM.is_dir() and os.access(SHM, os.W_OK) and shutil.disk_usage(SHM).free >= SPACE
    return SHM if roomy else Path(tempfile.gettempdir())


def check_base(base: Path | None) -> None:
    """BadValue when root's Postgres, which runs as another user, could not enter `base`."""
    if base is not None and os.geteuid() == 0 and not all(p.stat().st_mode & 0o001 for p in (base, *base.parents)):
        raise BadValue(field="NETRA_DATA_DIR", value=str(base), allowed="for root, a directory any user can enter")


def home(base: Path) -> Path:
    """The folder of all this user's labs below `base`."""
    return base / f"netra-sim-{os.getuid()}"


def sweep(base: Path | None = None) -> list[str]:
    """Remove every lab below `base` (or where labs lie by themselves) whose host is dead; the ids of those removed.

    A live one is never touched, nor one whose note says nothing that could be understood.
    """
    swept = []
    for place in (base,) if base else (SHM, Path(tempfile.gettempdir())):
        for directory in sorted([*home(place).glob(f"{PREFIX}*"), *home(place).glob(f"{DRAFT}*")]):
            with _claimed(directory) as stale:
                if stale:
                    clear(directory)
                    swept.append(directory.name)
    return swept


def clear(directory: Path, within: float = 5.0) -> None:
    """Kill what belongs to the lab directory, remove its shared memory and itself; harmless when done twice.

    LabError when something resists for `within` seconds.
    """
    deadline, pids, files = time.monotonic() + within, set[int](), set[Path]()
    while members := belonging(directory):
        pids |= {p.pid for p in members}
        files |= {path for p in members for path in _shared_files(p)}
        tree.send(members, signal.SIGKILL)
        _await_end(members, deadline, directory)
    _remove_memory(directory, pids)
    for path in files:
        path.unlink(missing_ok=True)
    _remove_tree(directory, deadline)
    with contextlib.suppress(OSError):  # other labs are in it, or it has gone
        directory.parent.rmdir()


def belonging(directory: Path) -> list[psutil.Process]:
    """The live processes whose current directory is under `directory`, but for this one."""
    inside, mine = str(directory), os.getpid()
    return [p for p in psutil.process_iter() if p.pid != mine and _belongs(p, inside)]


def _belongs(process: psutil.Process, inside: str) -> bool:
    try:
        where = process.cwd()
    except psutil.AccessDenied:
        return _is_postgres_of(process, inside)
    except (psutil.Error, OSError):
        return False
    return (where == inside or where.startswith(f"{inside}/")) and tree.start_time(process.pid) is not None


def _is_postgres_of(process: psutil.Process, inside: str) -> bool:
    """For a root without CAP_SYS_PTRACE, as in a container: the lab's Postgres carries its id in its titles."""
    lab = next((part for part in Path(inside).parts if part.startswith(PREFIX)), None)
    try:
        words = process.cmdline()
    except (psutil.Error, OSError):
        return False
    named = bool(words) and re.match(r"(.*/)?postgres\b", words[0]) is not None
    return named and lab is not None and any(lab in word for word in words)


def _shared_files(process: psutil.Process) -> Iterator[Path]:
    """The files in /dev/shm that a Postgres process maps."""
    if sys.platform == "linux":
        with contextlib.suppress(psutil.Error, OSError):
            for entry in process.memory_maps():
                if entry.path.startswith(f"{SHM}/PostgreSQL."):
                    yield Path(entry.path)


def _await_end(members: list[psutil.Process], deadline: float, directory: Path) -> None:
    while any(tree.start_time(p.pid) is not None for p in members if p.is_running()):
        if time.monotonic() > deadline:
            raise LabError(detail=f"Processes of {directory} do not end: {[p.pid for p in members]}.")
        time.sleep(tree.POLL / 2)


def _remove_memory(directory: Path, pids: set[int]) -> None:
    """Remove the segments that these processes made, or that a pid file in the directory tells of."""
    told = {pair for file in directory.glob("*/data/postmaster.pid") if (pair := sysv.recorded(file))}
    for segment in sysv.segments():
        if segment.creator in pids or (segment.creator, segment.id) in told:
            sysv.remove(segment)


def _remove_tree(directory: Path, deadline: float) -> None:
    """Another cleaner may be at work in it: try until it has gone."""
    while directory.exists():
        try:
            shutil.rmtree(directory)
        except OSError as error:
            if time.monotonic() > deadline:
                raise LabError(detail=f"{directory} cannot be removed: {error}.") from error


@contextlib.contextmanager
def _claimed(directory: Path) -> Iterator[bool]:
    """Whether the directory's host is dead by its note and by its lock, which stays ours meanwhile."""
    try:
        note = (directory / NOTE).open("r+")
    except (FileNotFoundError, NotADirectoryError):  # its owner is just making it, or died at that
        yield directory.name.startswith(DRAFT) and _older_than(directory, 60.0)
        return
    with note:
        try:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield _host_is_dead(note.read(), directory)


def _host_is_dead(note: str, directory: Path) -> bool:
    """By the note's pid and start time: a pid alone may be another process's by now."""
    try:
        told = json.loads(note)
        pid, started = int(told["pid"]), float(told["started"])
    except (ValueError, KeyError, TypeError):
        # Cut short when its writer was killed at making it; a finished directory's note was written by someone else.
        return directory.name.startswith(DRAFT) and _older_than(directory, 60.0)
    try:
        return tree.start_time(pid) is None or abs(psutil.Process(pid).create_time() - started) > 1.0
    except psutil.NoSuchProcess:
        return True


def _older_than(directory: Path, seconds: float) -> bool:
    try:
        return time.time() - directory.stat().st_mtime > seconds
    except FileNotFoundError:
        return False


def _make_inside_home(directory: Path) -> None:
    """A directory among this user's labs; LabError when someone else has put a folder in their place."""
    folder = directory.parent
    for _ in range(100):
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # the last of other labs has just gone, with the folder
            stat = folder.lstat()
            if stat.st_uid != os.getuid() or not S_ISDIR(stat.st_mode) or stat.st_mode & 0o022:
                raise LabError(detail=f"{folder} belongs to someone else, or others can write to it.")
            directory.mkdir()
            for path in (folder, directory):
                path.chmod(0o711)  # whatever the umask: root's Postgres, another user, must get through
            return
    raise LabError(detail=f"{folder} disappears again and again.")
