import asyncio
import math

import pytest

from netra_sim.backend.reliability.deadline import deadline, remaining


async def test_without_one_there_is_no_end():
    assert math.isinf(remaining())


async def test_the_earlier_of_two_is_in_force_and_the_outer_comes_back():
    with deadline(10):
        with deadline(100):
            assert remaining() == pytest.approx(10, abs=0.5)
        with deadline(1):
            assert remaining() == pytest.approx(1, abs=0.5)
        assert remaining() == pytest.approx(10, abs=0.5)
    assert math.isinf(remaining())


async def test_tasks_below_inherit_it_and_tasks_beside_do_not():
    async def seen() -> float:
        return remaining()

    beside = asyncio.create_task(seen())
    with deadline(5):
        below = asyncio.create_task(seen())
    assert await below < 6
    assert math.isinf(await beside)


async def test_it_is_lifted_by_an_error_too():
    with pytest.raises(ValueError), deadline(1):
        raise ValueError
    assert math.isinf(remaining())
