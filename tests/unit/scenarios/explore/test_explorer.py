import asyncio
import time

from netra_sim.scenarios.explore.explorer import BEAT, still


async def test_a_process_that_stands_still_notices_it() -> None:
    async with still() as longest:
        await asyncio.sleep(BEAT)
        assert longest() < BEAT
        block(3 * BEAT)
        await asyncio.sleep(BEAT)
    assert longest() > BEAT


def block(seconds: float) -> None:
    """What a stopped process is to its own event loop."""
    time.sleep(seconds)
