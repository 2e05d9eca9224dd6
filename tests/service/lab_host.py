"""A lab host for tests: the same `serve`, a lab with a tiny server, and methods that do each thing a call can do."""

import asyncio
import sys
from pathlib import Path

from netra_sim.kernel.errors import BadValue
from netra_sim.lab.health import ailing
from netra_sim.lab.host import Emit, serve
from netra_sim.lab.lab import Lab
from netra_sim.lab.server import PORT, Child

FORKED = (sys.executable, "-m", "tests.service.lab_tiny")
TINY = (sys.executable, str(Path(__file__).with_name("lab_tiny.py")))
labs: list[Lab] = []
cancelled: list[str] = []


async def start(params: dict, emit: Emit) -> dict:
    lab = Lab(children=[Child("proxy", (*TINY, PORT))], worker=FORKED, preload=["asyncio"])
    labs.append(lab)
    await lab.start()
    worker = await lab.worker({})
    emit({"worker": worker.port})
    return {"id": lab.id, "dir": str(lab.dir), "servers": lab.servers()}


async def well(params: dict, emit: Emit) -> list[str]:
    return await ailing([service for lab in labs for service in lab.services])


async def hang(params: dict, emit: Emit) -> None:
    emit({"hanging": True})
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.append("hang")


async def say(params: dict, emit: Emit) -> dict:
    print("a stray print")
    for number in range(3):
        emit({"n": number})
    return params


async def refuse(params: dict, emit: Emit) -> None:
    raise BadValue(field="users", value=0, allowed="1 to 500")


async def crash(params: dict, emit: Emit) -> None:
    raise ZeroDivisionError("a fault of its own")


async def whom(params: dict, emit: Emit) -> list[str]:
    return cancelled


async def stop() -> None:
    for lab in labs:
        await lab.stop()


if __name__ == "__main__":
    methods = {"start": start, "ailing": well, "hang": hang, "say": say, "refuse": refuse, "crash": crash, "whom": whom}
    sys.exit(serve(methods, stop))
