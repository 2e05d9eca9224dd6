"""The proxy process: `python -m netra_sim.faults.serve --port 0`; its ready line tells the port of the control API."""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType


def main(words: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; exit code 0."""
    import uvloop

    parser = argparse.ArgumentParser(prog="python -m netra_sim.faults.serve", description=__doc__)
    parser.add_argument("--port", type=int, default=8474, help="of the control API; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(words)
    signal.signal(signal.SIGTERM, _end)
    uvloop.run(_serve(given.port, given.seed))
    return 0


def _end(_signal: int, _frame: FrameType | None) -> None:
    """uvicorn shuts down in order and then raises the signal again, which ends the process with 0."""
    sys.exit(0)


async def _serve(port: int, seed: int) -> None:
    import uvicorn

    from netra_sim.faults.api import Api

    api = Api(seed)
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(
            api.application(), http="httptools", ws="none", lifespan="off", log_level="warning", access_log=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=300,  # longer than any client keeps an idle connection, so that none meets a closing one
        )  # fmt: skip
        print(json.dumps({"ready": True, "port": listener.getsockname()[1]}), flush=True)
        try:
            await uvicorn.Server(config).serve(sockets=[listener])
        finally:
            await api.close()


if __name__ == "__main__":
    sys.exit(main())
