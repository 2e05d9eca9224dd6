import asyncio

from netra_sim.kernel.clock import ManualClock, SystemClock


async def sleeper(clock: ManualClock, seconds: float, name: str, woken: list[tuple[str, int]]) -> None:
    await clock.sleep(seconds)
    woken.append((name, clock.now_ns()))


async def test_sleepers_wake_in_the_order_of_their_time_and_see_it():
    clock, woken = ManualClock(), []
    tasks = [asyncio.create_task(sleeper(clock, s, n, woken)) for n, s in (("late", 2.0), ("early", 0.5), ("too", 9))]
    await clock.advance(3)
    assert woken == [("early", 500_000_000), ("late", 2_000_000_000)]
    assert clock.now_ns() == 3_000_000_000
    tasks[-1].cancel()


async def test_a_sleeper_that_sleeps_again_is_woken_within_one_advance():
    clock, woken = ManualClock(), []

    async def twice() -> None:
        await sleeper(clock, 1, "first", woken)
        await sleeper(clock, 1, "second", woken)

    task = asyncio.create_task(twice())
    await clock.advance(2)
    await task
    assert [t for _, t in woken] == [1_000_000_000, 2_000_000_000]


async def test_a_cancelled_sleeper_does_not_hold_up_the_clock():
    clock, woken = ManualClock(), []
    task = asyncio.create_task(sleeper(clock, 1, "gone", woken))
    await clock.advance(0.5)
    task.cancel()
    await clock.advance(5)
    assert woken == []


async def test_no_time_is_only_a_turn_of_the_loop():
    await ManualClock().sleep(0)
    await SystemClock().sleep(0)


def test_the_system_clock_does_not_go_back():
    clock = SystemClock()
    assert clock.now_ns() <= clock.now_ns()
