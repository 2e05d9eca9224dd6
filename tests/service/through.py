"""A proxy that understands a server's protocol, as a second way to it: what a client sees must be the same by both."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from netra_sim.faults.control import FaultControl
from netra_sim.faults.wire.base import OPAQUE, STREAMS
from netra_sim.kernel.errors import BinaryMissing
from netra_sim.lab.programs import postgres_programs
from netra_sim.lab.settings import EMBEDDED, ON_PATH
from tests.service.proxying import within

WAYS = ("read along", "screened")  # with no fault set, or with faults that take every message and change none
HOLDING = {"type": "delay_message", "attributes": {"delay": 0}}


@dataclass(frozen=True)
class Told:
    """What a program told."""

    code: int
    out: str
    err: str


@contextlib.asynccontextmanager
async def way(control: FaultControl, protocol: str, port: int, how: str, *, opaque: bool = False) -> AsyncIterator[int]:
    """The port of a proxy; in the end no fault has failed, and what passed was understood unless it is `opaque`."""
    through = await control.create_proxy("way", f"127.0.0.1:{port}", protocol=protocol)
    if how == "screened":
        for stream in STREAMS:
            count = {**HOLDING, "attributes": {"delay": 0, "match": {"type": OPAQUE}}}
            await control.add_toxic("way", {**count, "name": f"opaque {stream}", "stream": stream})
            await control.add_toxic("way", {**HOLDING, "name": f"every {stream}", "stream": stream})
    yield through
    toxics = {t["name"]: t for t in (await control.proxies("way"))["way"]["toxics"]}
    await control.delete_proxy("way")
    assert not [t for t in toxics.values() if "error" in t]
    seen = {name.split()[0] for name, toxic in toxics.items() if toxic["hits"]}
    assert how != "screened" or (seen and ("opaque" in seen) is opaque), toxics


def postgres_program(name: str) -> Path:
    """psql or pgbench, of the installed package or of Debian's; the test is skipped where it is missing."""
    for choice in (EMBEDDED, ON_PATH):
        with contextlib.suppress(BinaryMissing):
            found = postgres_programs(choice).folder / name
            if found.is_file():
                return found
    return machine_program(name, "postgresql postgresql-client")


def machine_program(name: str, package: str) -> Path:
    """A program of PATH; the test is skipped where it is missing."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {package})")
    return Path(found)


def clean_environment() -> dict[str, str]:
    """No settings of the machine's user for the programs under test."""
    kept = {name: value for name, value in os.environ.items() if not re.match(r"PG|REDIS|.*_proxy$", name, re.I)}
    return {**kept, "LC_ALL": "C"}


async def run(program: Path, *words: str, stdin: bytes = b"") -> Told:
    """Run to its end."""
    process = await asyncio.create_subprocess_exec(
        program, *words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=clean_environment()
    )
    try:
        out, err = await within(process.communicate(stdin), 20)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return Told(process.returncode, out.decode(errors="backslashreplace"), err.decode(errors="backslashreplace"))


@contextlib.asynccontextmanager
async def serving(config: uvicorn.Config) -> AsyncIterator[int]:
    """A server in this loop; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = uvicorn.Server(config)
        task = asyncio.ensure_future(running.serve(sockets=[listener]))
        try:
            yield int(listener.getsockname()[1])
        finally:
            running.should_exit = running.force_exit = True
            await within(task)
