import asyncio

import pytest

from netra_sim.backend.reliability.together import first, together


async def test_results_in_order_of_the_work_not_of_the_end():
    turn = asyncio.Event()

    async def late() -> str:
        await turn.wait()
        return "late"

    async def early() -> str:
        turn.set()
        return "early"

    assert await together(late(), early()) == ["late", "early"]
    assert await together() == []


async def test_the_first_error_is_raised_as_it_was_and_the_others_are_cancelled():
    cancelled = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def fails() -> None:
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        await together(waits(), fails())
    assert cancelled.is_set()


async def test_a_cancellation_reaches_all():
    started, ended = asyncio.Event(), []

    async def waits(name: str) -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    task = asyncio.create_task(together(waits("a"), waits("b")))
    await started.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == ["a", "b"]


def test_first_looks_into_nested_groups():
    inner = ValueError("x")
    assert first(ExceptionGroup("a", [ExceptionGroup("b", [inner]), KeyError()])) is inner
    assert first(inner) is inner
