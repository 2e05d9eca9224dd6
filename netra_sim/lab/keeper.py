"""`python -m netra_sim.lab.keeper OWNER PARAMS HOST...`: has one lab up and hands its host to whoever asks for it.

A connection to its socket is a request: an order as JSON, up to the end. The answer is the host's pipes with what its
start told, then its exit code once it has ended; or nothing at all, when the lab that waits is not such a one.
It ends when the process OWNER does, and with it the lab that waits. Those handed over are their clients' alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from netra_sim.kernel.errors import HostGone, LabError, NetraError
from netra_sim.lab import state, tree
from netra_sim.lab.client import END, HOST
from netra_sim.lab.nursery import NUMBER
from netra_sim.lab.settings import from_environment
from netra_sim.lab.spawn import environment, exit_text
from netra_sim.lab.waiting import KEEPER, LONGEST, order

PACKAGE = Path(__file__).parents[1]
ANSWERS = 3.0  # seconds for a host to tell how its lab is
LAST_WORDS = 4096  # bytes


class Waiting:
    """A host with a lab, to which nobody else talks yet."""

    def __init__(self, command: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        self._code = _newest()
        self._process = subprocess.Popen(
            command, bufsize=0, stdin=pipe, stdout=pipe, stderr=pipe, env=environment({}), start_new_session=True
        )
        self._ended = tree.watch(self._process.pid)
        self._replies = asyncio.StreamReader()
        self._reading: asyncio.ReadTransport | None = None
        self._answer: Any = None

    async def start(self, params: Mapping[str, Any]) -> None:
        """Let it start a lab; raises what that raises, and then nothing is left."""
        protocol = asyncio.StreamReaderProtocol(self._replies)
        try:
            loop = asyncio.get_running_loop()
            self._reading, _ = await loop.connect_read_pipe(lambda: protocol, self._process.stdout)
            self._answer = await self._ask("start", params)
        except BaseException:
            await asyncio.shield(self.end())
            raise

    async def sound(self) -> bool:
        """Whether it has the code of now, and every service of its lab answers."""
        if self._code != _newest():
            return False
        try:
            return not await asyncio.wait_for(self._ask("ailing"), ANSWERS)
        except (NetraError, OSError):
            return False

    def give(self, client: socket.socket) -> None:
        """Hand its pipes over, and keep none; OSError when the client has gone, and all is as before."""
        told = {"pid": self._process.pid, "answer": self._answer}
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        socket.send_fds(client, [json.dumps(told).encode()], [pipe.fileno() for pipe in pipes if pipe])
        self._let_go()

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        await asyncio.shield(self._ended)
        return self._process.wait()

    async def end(self) -> None:
        """End it in order; kill it when it does not end (its warden then cleans up)."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self.wait(), END)
        except TimeoutError:
            self._process.kill()
            await self.wait()
        finally:
            self._let_go()

    async def _ask(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        assert self._process.stdin is not None
        request = {"id": method, "method": method, "params": dict(params or {})}
        with contextlib.suppress(BrokenPipeError):  # the end of its replies tells why
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        while line := await self._replies.readline():
            reply = json.loads(line)
            if "error" in reply:
                raise NetraError.from_dict(reply["error"])
            if "result" in reply:  # and not progress
                return reply["result"]
        raise HostGone(cause=f"{exit_text(await self.wait())}; its last words: {self._last_words()}")

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        return (self._process.stderr.read(LAST_WORDS) or b"").decode(errors="replace").strip()

    def _let_go(self) -> None:
        if self._reading is not None:
            self._reading.close()  # first of all: the loop would go on watching a pipe that lives elsewhere
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


class Keeper:
    """One lab up, or coming up; the next is begun when it is handed over."""

    def __init__(self, command: Sequence[str], params: Mapping[str, Any]) -> None:
        self._command, self._params = command, params
        self._order = order(command, params)
        self._busy = False
        self._answers: set[asyncio.Task[None]] = set()
        self._next = self._begin()

    async def serve(self, listener: socket.socket) -> None:
        """Answer requests, until cancelled."""
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            answer = asyncio.create_task(self._serve(client))
            self._answers.add(answer)
            answer.add_done_callback(self._answers.discard)

    async def end(self) -> None:
        """End the lab that waits."""
        for answer in self._answers:
            answer.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)
        self._next.cancel()
        with contextlib.suppress(NetraError, asyncio.CancelledError):
            await (await self._next).end()

    def _begin(self) -> asyncio.Task[Waiting]:
        return asyncio.create_task(self._start())

    async def _start(self) -> Waiting:
        try:
            host = Waiting(self._command)
            await host.start(self._params)
        except (NetraError, OSError) as error:
            print(f"netra_sim: no lab waits for the next notebook: {error}", file=sys.stderr, flush=True)
            raise LabError(detail=str(error)) from error
        return host

    async def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError):  # it has gone, or does not know how to ask
            if json.loads(await _all_of(client)) != self._order or self._busy:
                return
            self._busy = True
            try:
                host = await self._sound()
                host.give(client)
            except LabError:  # the client's own try tells it the reason
                self._next = self._begin()
                return
            finally:
                self._busy = False
            self._next = self._begin()
            await asyncio.get_running_loop().sock_sendall(client, NUMBER.pack(await host.wait()))

    async def _sound(self) -> Waiting:
        """The lab that waits; one that is not as it should be is replaced once."""
        host = await asyncio.shield(self._next)
        if not await host.sound():
            await host.end()
            self._next = self._begin()
            host = await asyncio.shield(self._next)
        return host


def keep(program: Sequence[str], params: Mapping[str, Any], command: Sequence[str] = HOST) -> NoReturn:
    """Become `program`, beside it a keeper whose socket its environment names; OSError when there is no such program.

    Where ports are fixed, two labs cannot be up at once: then there is no keeper.
    """
    os.environ.pop(KEEPER, None)
    settings = from_environment()
    if settings.postgres_port or settings.redis_port:
        print("netra_sim: no lab waits for the next notebook: its ports are fixed", file=sys.stderr, flush=True)
    elif path := _start_beside(params, command):
        os.environ[KEEPER] = path
    os.execvp(program[0], list(program))


def _start_beside(params: Mapping[str, Any], command: Sequence[str]) -> str | None:
    """Where the new keeper of this process listens; None when it could not begin, which it has told."""
    words = (sys.executable, "-m", "netra_sim.lab.keeper", str(os.getpid()), json.dumps(params), *command)
    keeper = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment({}), start_new_session=True
    )
    assert keeper.stdout is not None
    line = keeper.stdout.readline()
    return str(json.loads(line)["socket"]) if line else None


async def main(owner: int, params: Mapping[str, Any], command: Sequence[str]) -> None:
    """Keep labs until SIGTERM or SIGINT, or until the owner has ended."""
    place = state.Place(from_environment().data_dir)
    place.create()  # what a killed keeper leaves of it, the next lab's start removes
    path = place.folder("keeper") / "socket"  # in a folder of this user's alone
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        print(json.dumps({"socket": str(path)}), flush=True)
        if os.getppid() == owner:
            await _serve(owner, Keeper(command, params), listener)
    finally:
        listener.close()
        place.remove()


async def _serve(owner: int, keeper: Keeper, listener: socket.socket) -> None:
    serving = asyncio.create_task(keeper.serve(listener))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    tree.watch(owner).add_done_callback(lambda _: serving.cancel())
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    finally:
        await keeper.end()


async def _all_of(client: socket.socket) -> bytes:
    """What comes until the client has told all."""
    loop, told = asyncio.get_running_loop(), b""
    while part := await loop.sock_recv(client, LONGEST):
        told += part
    return told


def _newest() -> float:
    """When this package was last edited: a lab with older code is not what a notebook expects."""
    return max(module.stat().st_mtime for module in PACKAGE.rglob("*.py"))


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]))
    except (NetraError, OSError) as error:
        sys.exit(f"netra_sim: no lab waits for the next notebook: {error}")
