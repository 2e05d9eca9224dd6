"""`python -m netra_sim.lab.warden <lab directory> <host pid>`: cleans up when the lab's host dies without doing so.

Its stdin is a pipe from the host: the end of that pipe is the end of the host, however it came.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path

from netra_sim.lab import state, tree

PATIENCE = 10.0  # seconds for the kernel to finish with a host whose pipe has closed


def main(directory: Path, host: int) -> int:
    """Wait for the pipe's end; exit code 0 when nothing of the lab is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what ends the host must not end its warden first
    started = tree.start_time(host)
    while os.read(0, 4096):
        pass
    if not directory.exists():
        return 0
    if started is not None and not _ended(host, started):
        return 1  # it lives without its pipe: it cleans up by itself
    state.clear(directory, within=30.0)
    return 0


def _ended(pid: int, started: float) -> bool:
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(OSError, AttributeError):  # gone, or a system without such descriptors
        fd = os.pidfd_open(pid)
        select.select([fd], [], [], PATIENCE)
        os.close(fd)
    while tree.start_time(pid) == started:
        if time.monotonic() > deadline:
            return False
        time.sleep(tree.POLL)
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
