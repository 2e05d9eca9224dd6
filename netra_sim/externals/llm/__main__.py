"""`python -m netra_sim.externals.llm`: the simulated LLM as a process of its own."""

from __future__ import annotations

import argparse
import json
import signal
import socket
import struct
import sys
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from netra_sim.externals.llm.server import RESET, Simulator


class _Announcing(uvicorn.Server):
    """Prints one line of JSON to stdout once it accepts connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and not self.should_exit:
            print(json.dumps({"ready": True, "port": sockets[0].getsockname()[1]}), flush=True)


class _Resettable(HttpToolsProtocol):
    """Lets a request reset its connection: with a linger time of 0, a close sends RST."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][RESET] = self._reset

    def _reset(self) -> None:
        bare = self.transport.get_extra_info("socket")
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    options = _options(argv)
    signal.signal(signal.SIGTERM, _end)
    listener = socket.create_server((options.host, options.port), backlog=2048)
    config = uvicorn.Config(
        Simulator(options.seed, options.time_scale).app(),
        loop="uvloop",
        http=_Resettable,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=300,  # longer than any client keeps an idle connection, so that none meets a closing one
        timeout_graceful_shutdown=1,
    )
    _Announcing(config).run(sockets=[listener])


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m netra_sim.externals.llm", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--time-scale", type=float, default=1.0, help="multiplies all latency; 0 waits for nothing")
    return parser.parse_args(argv)


def _end(signum: int, frame: FrameType | None) -> None:
    """uvicorn shuts down in order and then raises the signal again, which ends the process with 0."""
    sys.exit(0)


if __name__ == "__main__":
    main()
