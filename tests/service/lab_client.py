"""A notebook kernel's part: has a host with a lab, new or from a keeper, tells what it got, and waits in a call."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from netra_sim.lab.client import HostClient
from netra_sim.lab.waiting import KEEPER

HOST = (sys.executable, str(Path(__file__).with_name("lab_host.py")))


async def main() -> None:
    if os.environ.get(KEEPER):
        return await work(client := HostClient(HOST), client.start_lab({}))
    async with HostClient(HOST) as client:
        print(json.dumps({"host": client.pid}), flush=True)
        await work(client, client.call("start"))


async def work(client: HostClient, start: Coroutine[Any, Any, Any]) -> None:
    print(json.dumps({**await start, "host": client.pid}), flush=True)
    await client.call("hang", on_event=lambda event: print(json.dumps(event), flush=True))


if __name__ == "__main__":
    # A job in the background of a script, such as CI's, has ctrl-C ignored, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(main())
