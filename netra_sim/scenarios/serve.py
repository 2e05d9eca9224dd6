"""A lab with the platform in front of it, for trying things by hand."""

from __future__ import annotations

import asyncio
import signal

from netra_sim.faults.control import FaultControl
from netra_sim.lab.lab import Lab
from netra_sim.scenarios.platform import platform


def serve() -> int:
    """Run until ctrl-C or SIGTERM; exit code 0."""
    import uvloop

    uvloop.run(_serve())
    return 0


async def _serve() -> None:
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with (
        Lab(time_scale=1.0) as lab,
        FaultControl(lab.proxy.url) as control,
        platform(lab, control, "serve", 7) as at,
    ):
        print(f"platform  {at.url}  (sign up: POST /auth/signup, chat: /ws, health: GET /health)")
        print(f"database  {at.database_url}")
        print(f"redis     {lab.redis.url}")
        print(f"model     {lab.llm_url}")
        print(f"faults    {lab.proxy.url}  (Toxiproxy's API; proxies serve/postgres, /redis, /llm, /edge)")
        print("ctrl-C ends it", flush=True)
        await over.wait()
