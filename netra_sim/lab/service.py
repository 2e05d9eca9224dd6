"""What all servers of a lab have in common, whether the lab owns their process or only knows their URL."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from netra_sim.kernel.errors import LabError, NotOurs, PortTaken, StartFailed, Unreachable
from netra_sim.lab import ports
from netra_sim.lab.limits import Limits
from netra_sim.lab.settings import redact
from netra_sim.lab.spawn import Process, tail

ATTEMPTS = 5
STEP = 0.01  # seconds between two attempts to connect
T = TypeVar("T")
Errors = tuple[type[Exception], ...]
IN_USE = re.compile(r"address already in use|errno 98|errno 48", re.IGNORECASE)


class Service(ABC):
    """A server: its `name`, direct `url` and `version`; `owned` tells whether it can be killed."""

    owned: bool
    version: str = "?"

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it answers, with no proxy between."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether its process runs (another's server counts as running)."""

    @property
    @abstractmethod
    def paused(self) -> bool:
        """Whether one of its processes is stopped by a signal."""

    @abstractmethod
    async def start(self) -> None:
        """Start it and wait until it answers."""

    @abstractmethod
    async def stop(self, *, keep: bool = True) -> None:
        """End it in order; with `keep` false faster, as its data are not needed any more."""

    @abstractmethod
    async def kill(self) -> None:
        """SIGKILL it and all its children; NotOurs when the lab does not own it."""

    @abstractmethod
    async def restart(self) -> None:
        """Start it, after stopping it if it runs, with its data, on its port."""

    @abstractmethod
    async def pause(self) -> None:
        """Freeze it and all its children; LabError when it does not run."""

    @abstractmethod
    async def resume(self) -> None:
        """Let a frozen one go on."""

    @abstractmethod
    async def limit(self, what: str, more: int) -> None:
        """Give it and its children so many more `files`, or MB of `memory`, than each holds; LabError if it cannot."""

    @abstractmethod
    async def unlimit(self, what: str) -> None:
        """Give them their former limit of `files` or `memory` back."""

    async def offset_clock(self, seconds: float) -> None:
        """Start it again with a clock that is wrong by so much; LabError where it has no clock of its own."""
        raise LabError(detail=f"{self.name} has no clock of its own that could be wrong by {seconds:g} s.")

    async def read_only(self) -> None:
        """Let it refuse writes; LabError where it has no such state."""
        raise LabError(detail=f"{self.name} cannot be made read-only.")

    async def out_of_memory(self) -> None:
        """Let it refuse what needs memory; LabError where it has no such state."""
        raise LabError(detail=f"{self.name} cannot be made to run out of memory.")

    async def restore(self) -> None:
        """End both states; LabError where it has none."""
        raise LabError(detail=f"{self.name} has no state to be restored from.")

    async def altered(self) -> list[dict[str, Any]]:
        """Which of these states it was left in, each as a small fact."""
        return []

    @abstractmethod
    def log(self) -> str:
        """The last lines of its log."""


class Owned(Service):
    """A server whose process the lab starts, on a fixed port or on any free one, which it then keeps."""

    owned = True
    grace = 2.0  # seconds to end in order
    patience = 30.0  # seconds to answer after a start, with all its data
    port_setting = ""  # the variable that fixes its port, where there is one

    def __init__(self, name: str, directory: Path, port: int | None = None) -> None:
        super().__init__(name)
        self.directory = directory
        self.port = port or 0
        self.process: Process | None = None
        self._limits = Limits()

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.alive

    @property
    def paused(self) -> bool:
        """Whether one of its processes is stopped by a signal."""
        return self.process is not None and self.process.paused

    @property
    def pid(self) -> int | None:
        """Its process, or None before the first start."""
        return self.process.pid if self.process else None

    @property
    def logfile(self) -> Path:
        """Where its output goes."""
        return self.directory / f"{self.name.rpartition('/')[2]}.log"

    async def start(self) -> None:
        """Start it; StartFailed with its last log lines, PortTaken when its own port is in use."""
        if self.alive:
            return
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            port = self.port or ports.free_port()
            written = self.logfile.stat().st_size if self.logfile.exists() else 0
            try:
                self.port = await self._attempt(port)
                return
            except StartFailed as error:
                if not self._in_use(written):
                    raise
                if self.port and self.port_setting:
                    raise PortTaken(port=port, service=self.name, setting=self.port_setting) from error
                if self.port or attempt == ATTEMPTS:
                    raise

    async def stop(self, *, keep: bool = True) -> None:
        """End it in order within `grace` seconds, else kill it."""
        if self.process is not None:
            await self.process.terminate(self.grace)

    async def kill(self) -> None:
        """SIGKILL it and all its children, and wait until they are gone."""
        if self.process is not None:
            await self.process.kill()

    async def restart(self) -> None:
        """Start it, after stopping it if it runs, with its data, on its port."""
        await self.stop()
        await self.start()

    async def pause(self) -> None:
        """Freeze it and all its children; LabError when it does not run."""
        if self.process is None:
            raise LabError(detail=f"{self.name} cannot be paused: it was never started.")
        await self.process.pause()

    async def resume(self) -> None:
        """Let a frozen one go on."""
        if self.process is not None:
            self.process.resume()

    async def limit(self, what: str, more: int) -> None:
        """Give it and its children so many more `files`, or MB of `memory`, than each holds; LabError if it cannot."""
        if self.process is None or not self.alive:
            raise LabError(detail=f"The {what} of {self.name} cannot be limited: it does not run.")
        self._limits.lower(self.process.pid, what, more)

    async def unlimit(self, what: str) -> None:
        """Give them their former limit of `files` or `memory` back, unless it was started again."""
        if self.process is not None and self.alive:
            self._limits.restore(self.process.pid, what)

    async def altered(self) -> list[dict[str, Any]]:
        """What is still limited, each as a small fact."""
        left = self._limits.left(self.process.pid) if self.process is not None and self.alive else []
        return [{"what": f"limited {what}", "name": self.name} for what in left]

    def log(self) -> str:
        """The last lines of its log."""
        return tail(self.logfile, lines=50)

    @abstractmethod
    async def _spawn(self, port: int) -> Process:
        """Start the process on that port."""

    @abstractmethod
    async def _ready(self, process: Process, port: int) -> int:
        """Wait until it answers, set its version and give the port it took; StartFailed when it does not."""

    async def _asked(
        self, process: Process, ask: Callable[[], Coroutine[Any, Any, tuple[str, T]]], mine: T, errors: Errors
    ) -> None:
        """Ask until the version and a mark are answered: `mine` tells ours from another server on that port."""
        deadline = asyncio.get_running_loop().time() + self.patience
        while True:
            try:
                self.version, mark = await process.answer(ask)
                if mark == mine:
                    return
                cause = "another server answers on its port"  # ours will end at that
            except errors as error:
                cause = f"it does not answer: {error}"
            if asyncio.get_running_loop().time() > deadline:
                raise process.failure(cause)
            if await process.ended_within(STEP):
                raise process.failure("it ended")

    async def _prepare(self) -> None:
        """What must be done before the process starts."""

    async def _attempt(self, port: int) -> int:
        await self._prepare()
        self.process = await self._spawn(port)
        try:
            return await self._ready(self.process, port)
        except BaseException:
            await self.process.kill()
            raise

    def _in_use(self, written: int) -> bool:
        if not self.logfile.exists():
            return False
        with self.logfile.open("rb") as log:
            log.seek(written)
            return IN_USE.search(log.read().decode(errors="replace")) is not None


class Remote(Service):
    """A server that a setting gives by URL; `ask` connects to it and tells its version."""

    owned = False

    def __init__(self, name: str, setting: str, url: str, ask: Callable[[str], Awaitable[str]]) -> None:
        super().__init__(name)
        self.setting, self._url, self._ask = setting, url, ask

    @property
    def url(self) -> str:
        """The URL as given, with its password."""
        return self._url

    @property
    def alive(self) -> bool:
        """Another's server counts as running."""
        return True

    @property
    def paused(self) -> bool:
        """Another's server counts as running."""
        return False

    async def start(self) -> None:
        """Ask its version; Unreachable when it does not answer within 5 s."""
        try:
            self.version = await asyncio.wait_for(self._ask(self._url), 5.0)
        except Exception as error:  # whatever a driver raises: the cause is told
            cause = f"{type(error).__name__}: {self._without_password(str(error) or 'no answer within 5 s')}"
            raise Unreachable(
                service=self.name, setting=self.setting, url=redact(self._url), cause=cause
            ) from None  # the driver's error may hold the password

    async def stop(self, *, keep: bool = True) -> None:
        """Leave it running: it is not ours."""

    async def kill(self) -> None:
        """Raise NotOurs."""
        self._refuse("kill")

    async def restart(self) -> None:
        """Raise NotOurs."""
        self._refuse("restart")

    async def pause(self) -> None:
        """Raise NotOurs."""
        self._refuse("pause")

    async def resume(self) -> None:
        """Raise NotOurs."""
        self._refuse("resume")

    async def limit(self, what: str, more: int) -> None:
        """Raise NotOurs."""
        self._refuse(f"limit the {what} of")

    async def unlimit(self, what: str) -> None:
        """Raise NotOurs."""
        self._refuse(f"restore the {what} of")

    async def offset_clock(self, seconds: float) -> None:
        """Raise NotOurs."""
        self._refuse("set the clock of")

    async def read_only(self) -> None:
        """Raise NotOurs."""
        self._refuse("make read-only")

    async def out_of_memory(self) -> None:
        """Raise NotOurs."""
        self._refuse("take the memory from")

    async def restore(self) -> None:
        """Raise NotOurs."""
        self._refuse("restore")

    def log(self) -> str:
        """A sentence: its log is not ours to read."""
        return f"({self.name} is not the lab's own: its log is where it runs)"

    def _refuse(self, action: str) -> NoReturn:
        raise NotOurs(action=action, service=self.name, setting=self.setting)

    def _without_password(self, text: str) -> str:
        password = urlsplit(self._url).password
        return redact(text.replace(password, "***") if password else text)
