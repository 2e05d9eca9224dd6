import asyncio
import time

from netra_sim.scenarios.explore.explorer import BEAT, still


async def test_a_process_that_stands_still_notices_it() -> None:
    async with still() as longest:
        assert longest() == 0.0
        await asyncio.sleep(0)  # the first beat begins
        block(3 * BEAT)
        await asyncio.sleep(BEAT)
    assert longest() > BEAT


def block(seconds: float) -> None:
    """What a stopped process is to its own event loop."""
    time.sleep(seconds)
