"""Lab directories: who owns one, and the removal of what a dead owner left.

A process whose working directory is below a lab's directory belongs to that lab; nothing else is ever touched.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

ENOUGH = 1 << 30  # bytes free in memory for a lab to be put there
IPC_RMID = 0


def base() -> Path:
    """Where this user's labs are: NETRA_DATA_DIR, else memory when it has room, else the temporary directory."""
    if given := os.environ.get("NETRA_DATA_DIR"):
        root = Path(given).absolute()
    else:
        memory = Path("/dev/shm")
        fits = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= ENOUGH
        root = memory if fits else Path(tempfile.gettempdir())
    return root / f"netra-sim-{os.geteuid()}"


def create() -> Path:
    """A new lab directory, owned by this process; others may pass through it but not list it."""
    folder = base() / f"lab-{time.strftime('%H%M%S')}-{secrets.token_hex(3)}"
    folder.mkdir(mode=0o711, parents=True)
    folder.parent.chmod(0o711)
    me = psutil.Process()
    (folder / "lab.json").write_text(json.dumps({"pid": me.pid, "started": me.create_time()}))
    return folder


def sweep() -> list[Path]:
    """Clean up every lab of this user whose host is dead; the directories removed."""
    root = base()
    dead = [f for f in root.iterdir() if f.is_dir() and not owner_lives(f)] if root.exists() else []
    for folder in dead:
        clean(folder)
    return dead


def owner_lives(folder: Path) -> bool:
    """Whether the process that made this directory still runs; its number may have been given to another."""
    try:
        told = json.loads((folder / "lab.json").read_text())
    except (OSError, ValueError):
        return time.time() - _age(folder) < 10  # just being made, unless it is old
    try:
        process = psutil.Process(told["pid"])
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - told["started"]) < 1.0
    except psutil.NoSuchProcess:
        return False


def clean(folder: Path) -> None:
    """Kill what runs in the directory, remove its shared memory, then the directory."""
    segments = list(_segments(folder))
    for _ in range(3):  # a process may start another while we look
        left = list(members(folder))
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        if not left:
            break
        psutil.wait_procs(left, timeout=3)
    for segment in segments:
        _remove_segment(segment)
    shutil.rmtree(folder, ignore_errors=True)


def members(folder: Path) -> Iterator[psutil.Process]:
    """The processes whose working directory is in the lab's directory."""
    for process in psutil.process_iter():
        try:
            place = Path(process.cwd())
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid() and (place == folder or folder in place.parents):
            yield process


def _segments(folder: Path) -> Iterator[int]:
    """SysV shared memory of each Postgres in the directory: the second number of line 7 of its pid file."""
    for path in folder.glob("*/data/postmaster.pid"):
        lines = path.read_text().splitlines()
        if len(lines) > 6 and len(words := lines[6].split()) == 2:
            yield int(words[1])


def _remove_segment(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).shmctl(number, IPC_RMID, None)


def _age(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
