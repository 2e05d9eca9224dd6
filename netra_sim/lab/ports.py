"""TCP ports of the loopback address: find a free one, see whether one is taken."""

from __future__ import annotations

import errno
import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
LOWEST, MACOS_EPHEMERAL = 10_000, 49_152


def free_port() -> int:
    """A port that is free now, below the kernel's ephemeral range.

    In that range a reconnecting client can be given a dead server's port as its own source port (TCP then
    connects it to itself), and the server can never come back there.
    """
    top = _ephemeral_start()
    choose = random.SystemRandom()  # a port is no part of an experiment: no seed
    for _ in range(100 if top > LOWEST + 1000 else 0):
        if not taken(port := choose.randrange(LOWEST, top)):
            return port
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])


def taken(port: int) -> bool:
    """Whether something listens there (or the port is not ours to use)."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return True
        raise
    return False


def _ephemeral_start() -> int:
    path = Path("/proc/sys/net/ipv4/ip_local_port_range")
    return int(path.read_text().split()[0]) if path.exists() else MACOS_EPHEMERAL
