"""The proxy process: `python -m netra_sim.faults.serve --port 0`; its ready line tells the port of the control API."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from netra_sim.kernel.errors import NetraError, UsageError

Ready = Callable[[str, int], None]  # takes the host and the port of the control API


def main(words: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; exit code 0, or 2 when it could not begin."""
    parser = argparse.ArgumentParser(prog="python -m netra_sim.faults.serve", description=__doc__)
    options(parser)
    try:
        return serve(parser.parse_args(words), lambda _, port: print(json.dumps({"ready": True, "port": port})))
    except NetraError as error:
        print(error, file=sys.stderr)
        return 2


def options(parser: argparse.ArgumentParser) -> None:
    """Toxiproxy's own options; like Go's they may have one dash."""
    parser.add_argument("--host", "-host", default="localhost", help="of the control API (%(default)s)")
    parser.add_argument("--port", "-port", type=int, default=8474, help="of it; 0 takes a free one (%(default)s)")
    parser.add_argument("--config", "-config", type=Path, metavar="PATH", help="proxies as JSON, made at the start")
    parser.add_argument("--seed", "-seed", type=int, default=1, help="of every random choice (%(default)s)")


def serve(given: argparse.Namespace, ready: Ready) -> int:
    """Serve until SIGTERM or SIGINT, then exit code 0; UsageError when the options do not allow it."""
    import uvloop

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    proxies = _read(given.config)
    with _listener(given.host, given.port) as listener:
        uvloop.run(_serve(listener, proxies, given, ready))
    return 0


def _end(_signal: int, _frame: FrameType | None) -> None:
    """uvicorn shuts down in order and then raises the signal again, which ends the process with 0."""
    sys.exit(0)


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        cause = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "no such address"
        advice = "Stop what uses that port, or take another with --port (0 takes a free one)."
        raise UsageError(detail=f"The control API cannot listen on {host}:{port}: {cause}. {advice}") from error


async def _serve(listener: socket.socket, proxies: bytes, given: argparse.Namespace, ready: Ready) -> None:
    import uvicorn

    from netra_sim.faults.api import Api

    api = Api(given.seed)
    config = uvicorn.Config(
        api.application(), http="httptools", ws="none", lifespan="off", log_level="warning", access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=300,  # longer than any client keeps an idle connection, so that none meets a closing one
    )  # fmt: skip
    try:
        _, error = await api.populate(proxies)
        if error is not None:
            raise UsageError(detail=f"The proxies of {given.config} cannot be made: {error.text}.")
        ready(given.host, listener.getsockname()[1])
        sys.stdout.flush()
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        await api.close()


def _read(config: Path | None) -> bytes:
    """The proxies of the start."""
    try:
        return b"[]" if config is None else config.read_bytes()
    except OSError as error:
        raise UsageError(detail=f"The proxies of {config} cannot be read: {error.strerror}.") from error


if __name__ == "__main__":
    sys.exit(main())
