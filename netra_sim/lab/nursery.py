"""`python -m netra_sim.lab.nursery MODULE...`: loads the modules once, then forks a Python program for each request.

A request is a byte on stdin, a socket, with three descriptors: the child's handle, stdout and stderr. On the handle the
child reads what it shall run, as JSON up to the end; the nursery writes its pid, and its exit code once it has ended.
Who closes the handle gives the child up: it is killed. The end of stdin is the nursery's end, and so its children's.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from netra_sim.lab.spawn import dies_with_parent

NUMBER = struct.Struct("i")  # a pid, or an exit code: minus the signal's number when one killed it
REQUEST = 3  # descriptors
TASKS = Path("/proc/self/task")


@dataclass
class Nursery:
    """The running children: pid and handle by the descriptor that tells of their end."""

    channel: socket.socket
    children: dict[int, tuple[int, int]] = field(default_factory=dict)
    events: select.poll = field(default_factory=select.poll)

    def serve(self) -> int | None:
        """Fork for each request; returns in each child with its handle, and with None when no more requests come."""
        channel = self.channel.fileno()
        tie = dies_with_parent(signal.SIGKILL)
        assert tie is not None, "only a system that ties a child to its parent has a nursery"
        self.events.register(channel, select.POLLIN)
        while True:
            ready, _ = self.events.poll()[0]  # one at a time: what follows may be closed by then
            if ready in self.children:
                self._bury(ready)
            elif ready != channel:
                self._give_up(ready)
            else:
                _, descriptors, _, _ = socket.recv_fds(self.channel, 1, REQUEST)
                if len(descriptors) != REQUEST:
                    return None
                if not (pid := os.fork()):
                    return self._born(tie, *descriptors)
                self._keep(pid, *descriptors)

    def _born(self, tie: Callable[[], None], handle: int, stdout: int, stderr: int) -> int:
        """In the child: leave all that is the nursery's."""
        os.setsid()
        tie()
        for fd, (_, other) in self.children.items():
            os.close(fd)
            os.close(other)
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd, standard in ((nothing, 0), (stdout, 1), (stderr, 2)):
            os.dup2(fd, standard)
            os.close(fd)
        self.channel.detach()  # its number is the child's stdin now
        return handle

    def _keep(self, pid: int, handle: int, *outputs: int) -> None:
        for fd in outputs:
            os.close(fd)
        ended = os.pidfd_open(pid)
        self.children[ended] = pid, handle
        self.events.register(ended, select.POLLIN)
        self.events.register(handle, 0)  # its end only: what comes in is the child's to read
        _tell(handle, pid)

    def _bury(self, ended: int) -> None:
        pid, handle = self.children.pop(ended)
        _, status = os.waitpid(pid, 0)
        _tell(handle, os.waitstatus_to_exitcode(status))
        with contextlib.suppress(KeyError):  # given up before
            self.events.unregister(handle)
        self.events.unregister(ended)
        os.close(handle)
        os.close(ended)

    def _give_up(self, handle: int) -> None:
        self.events.unregister(handle)
        os.kill(next(pid for pid, its in self.children.values() if its == handle), signal.SIGKILL)


def run(handle: int) -> None:
    """Become the program that the request names, as `python -m` would; it ends with SystemExit or by itself."""
    with socket.socket(fileno=handle) as told, told.makefile("rb") as file:
        request = json.load(file)
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    sys.argv[1:] = request["arguments"]
    gc.enable()
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def main() -> None:
    """Load, announce, serve; in a child, run what was asked for."""
    gc.disable()  # a collection would leave holes that children fill, and so copy whole pages
    for name in sys.argv[1:]:
        importlib.import_module(name)
    if len(list(TASKS.iterdir())) > 1:
        sys.exit(f"A module started a thread, which no child would have: {threading.enumerate()}")
    gc.freeze()
    nursery = Nursery(socket.socket(fileno=sys.stdin.fileno()))
    print(json.dumps({"ready": True}), flush=True)
    if (handle := nursery.serve()) is not None:
        run(handle)


def _tell(handle: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # given up: nobody wants to know
        os.write(handle, NUMBER.pack(number))


if __name__ == "__main__":
    main()
