"""`python -m netra_sim.backend serve` runs one worker; `migrate --url URL` brings a database up to date."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import socket
import sys
from typing import TYPE_CHECKING

from netra_sim.kernel.errors import NetraError

if TYPE_CHECKING:
    from netra_sim.backend.config import Settings


def main() -> int:
    """Exit code 0 at an orderly end, 2 for a setting that is wrong."""
    parser = argparse.ArgumentParser(prog="python -m netra_sim.backend", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run one worker; settings come from NETRA_* variables")
    migrate = commands.add_parser("migrate", help="apply the migrations that a database lacks")
    migrate.add_argument("--url", required=True, help="postgresql://…")
    given = parser.parse_args()
    try:
        return _serve() if given.command == "serve" else _migrate(given.url)
    except NetraError as error:
        print(error, file=sys.stderr)
        return 2


def _serve() -> int:
    gc.disable()  # while modules are loaded, nearly all that is made stays: a tenth of the start's CPU time
    import uvloop

    from netra_sim.backend.config import from_environment
    from netra_sim.backend.telemetry import logs

    settings = from_environment()
    logs.to_stderr(settings.worker)
    uvloop.run(_worker(settings))
    return 0


async def _worker(settings: Settings) -> None:
    import uvicorn

    from netra_sim.backend.app import platform

    gc.freeze()
    gc.enable()
    beat = settings.scaled(settings.heartbeat)
    with socket.create_server((settings.host, settings.port), backlog=1024) as listener:
        async with platform(settings) as app:
            config = uvicorn.Config(
                app, ws="websockets-sansio", http="httptools", lifespan="off", log_config=None, access_log=False,
                ws_ping_interval=beat, ws_ping_timeout=beat,
                ws_max_size=1 << 20, ws_per_message_deflate=False, timeout_graceful_shutdown=1, backlog=1024,
            )  # fmt: skip
            server = uvicorn.Server(config)
            for number in (signal.SIGTERM, signal.SIGINT):
                # uvicorn raises the signal again after its shutdown; by default that would kill us before our own.
                signal.signal(number, lambda *_: setattr(server, "should_exit", True))
            print(json.dumps({"ready": True, "port": listener.getsockname()[1]}), flush=True)
            await server.serve(sockets=[listener])


def _migrate(url: str) -> int:
    from netra_sim.backend.store.migrate import migrate

    print(json.dumps({"applied": asyncio.run(migrate(url))}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
