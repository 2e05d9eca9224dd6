"""A notebook kernel's part: starts a host, asks it for a lab, tells what it got, and waits in a call."""

import asyncio
import json
import signal
import sys
from pathlib import Path

from netra_sim.lab.client import HostClient

HOST = (sys.executable, str(Path(__file__).with_name("lab_host.py")))


async def main() -> None:
    async with HostClient(HOST) as client:
        print(json.dumps({"host": client.pid}), flush=True)
        print(json.dumps(await client.call("start")), flush=True)
        await client.call("hang", on_event=lambda event: print(json.dumps(event), flush=True))


if __name__ == "__main__":
    # A job in the background of a script, such as CI's, has ctrl-C ignored, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(main())
