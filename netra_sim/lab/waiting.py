"""The notebook's side of the keeper: ask for the lab that waits, and have its host as if it had been started here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

from netra_sim.lab import tree
from netra_sim.lab.host import LONGEST_LINE
from netra_sim.lab.nursery import NUMBER

KEEPER = "NETRA_KEEPER"  # the variable that tells where the keeper's socket is
PATIENCE = 10.0  # seconds for the keeper to hand a lab over; then it is quicker to start one
TELLS = 2.0  # seconds in which a keeper that lives tells the exit code of a host that has ended
PIPES = 3  # stdin, stdout, stderr
LONGEST = 65536  # bytes of what comes with the pipes


def order(command: Sequence[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """What makes two labs the same: Python's environment, the host's program, settings and `NETRA_*` variables."""
    variables = {k: v for k, v in os.environ.items() if k.startswith("NETRA_") and k != KEEPER}
    return {"python": sys.prefix, "program": list(command[1:]), "params": dict(params), "variables": variables}


async def take(wanted: Mapping[str, Any]) -> Taken | None:
    """The host of a lab that is up and is as wanted; None when there is no keeper, or it has none to give."""
    if not (path := os.environ.get(KEEPER)):
        return None
    keeper = socket.socket(socket.AF_UNIX)
    keeper.setblocking(False)
    try:
        async with asyncio.timeout(PATIENCE):
            told, pipes = await _asked(keeper, path, wanted)
    except OSError:  # it has ended, or stands still
        told, pipes = b"", []
    except BaseException:
        keeper.close()
        raise
    if len(pipes) != PIPES:
        keeper.close()
        return None
    return await Taken.of(json.loads(told), pipes, keeper)


class Taken:
    """A host of which this process alone has the pipes: what `HostClient` asks of a child of its own.

    The keeper is still its parent, so it tells its exit code; nothing else depends on the keeper from now on.
    """

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader

    def __init__(self, pid: int, answer: Any, keeper: socket.socket) -> None:
        self.pid, self.answer = pid, answer
        self._keeper = keeper
        self._code = asyncio.ensure_future(self._end())

    @staticmethod
    async def of(told: Mapping[str, Any], pipes: Sequence[int], keeper: socket.socket) -> Taken:
        """From the keeper's message and the descriptors that came with it."""
        stdin, *outputs = (os.fdopen(fd, mode, buffering=0) for fd, mode in zip(pipes, ("wb", "rb", "rb"), strict=True))
        taken = Taken(told["pid"], told["answer"], keeper)
        taken.stdout, taken.stderr = [await _reader(pipe) for pipe in outputs]
        taken.stdin = await _writer(stdin)  # last: given up before, it would be closed, and so the host end
        return taken

    async def wait(self) -> int | None:
        """Its exit code once it has ended; None when the keeper, who would tell it, has ended before."""
        return await asyncio.shield(self._code)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; ProcessLookupError when it has ended."""
        os.kill(self.pid, number)

    async def _end(self) -> int | None:
        with self._keeper:
            await tree.watch(self.pid)
            try:
                async with asyncio.timeout(TELLS):
                    told = await asyncio.get_running_loop().sock_recv(self._keeper, NUMBER.size)
            except OSError:
                return None
            return int(NUMBER.unpack(told)[0]) if told else None


async def _asked(keeper: socket.socket, path: str, wanted: Mapping[str, Any]) -> tuple[bytes, list[int]]:
    """Nothing at all when the keeper closes the connection: it has no such lab."""
    loop = asyncio.get_running_loop()
    await loop.sock_connect(keeper, path)
    await loop.sock_sendall(keeper, json.dumps(wanted).encode())
    keeper.shutdown(socket.SHUT_WR)
    await _readable(keeper)
    told, pipes, _, _ = socket.recv_fds(keeper, LONGEST, PIPES)
    for pipe in pipes:
        os.set_inheritable(pipe, False)  # a program that the kernel starts must not keep the lab up
    return told, pipes


async def _readable(channel: socket.socket) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(channel, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(channel)


async def _reader(pipe: IO[bytes]) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    return reader


async def _writer(pipe: IO[bytes]) -> asyncio.StreamWriter:
    loop, protocol = asyncio.get_running_loop(), asyncio.StreamReaderProtocol(asyncio.StreamReader())
    transport, _ = await loop.connect_write_pipe(lambda: protocol, pipe)
    return asyncio.StreamWriter(transport, protocol, None, loop)
