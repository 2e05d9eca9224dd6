"""Turns: who gets the next one, and that none is lost between two processes."""

import asyncio
from dataclasses import dataclass

from netra_sim.scenarios.stopwatch import Stopwatch
from netra_sim.scenarios.sweep import give_turns
from netra_sim.scenarios.turns import Giver, Turns


@dataclass
class Run:
    """A run as the sweep sees it."""

    coming_up: bool = False
    wants_to_be_measured: bool = False
    is_measured: bool = False
    under_way: int = 0
    work_left: float = 0.0
    given: int = 0

    def give(self) -> None:
        self.given += 1
        self.is_measured |= self.wants_to_be_measured
        if not self.wants_to_be_measured:
            self.under_way += 1
            self.work_left -= 1


def test_measured_trials_are_alone_and_in_order():
    first, second = Run(wants_to_be_measured=True), Run(wants_to_be_measured=True)
    give_turns([first, second], at_once=4)
    assert (first.given, second.given) == (1, 0)
    give_turns([first, second, Run(work_left=9)], at_once=4)
    assert (first.given, second.given) == (1, 0)


def test_nothing_is_measured_while_a_lab_comes_up_or_a_control_is_under_way():
    for disturbing in (Run(coming_up=True), Run(under_way=1)):
        waits = Run(wants_to_be_measured=True)
        give_turns([disturbing, waits], at_once=4)
        assert waits.given == 0


def test_controls_run_while_labs_come_up_but_not_while_one_waits_to_be_measured():
    controls = Run(work_left=2)
    give_turns([Run(coming_up=True), controls], at_once=4)
    assert controls.given == 2
    later = Run(work_left=2, under_way=1)
    give_turns([Run(wants_to_be_measured=True), later], at_once=4)
    assert later.given == 0


def test_so_many_controls_at_once_and_most_work_first():
    much, little = Run(work_left=5), Run(work_left=2.5)
    give_turns([little, much], at_once=4)
    assert (much.given, little.given) == (3, 1)
    give_turns([little, much], at_once=4)
    assert (much.given, little.given) == (3, 1)


async def test_a_turn_given_early_is_kept_and_each_is_taken_once(tmp_path):
    giver = Giver(tmp_path / "turns")
    giver.give()
    turns = Turns(str(tmp_path / "turns"))
    await asyncio.wait_for(turns.take(), 5)
    waiting = [asyncio.create_task(turns.take()) for _ in range(2)]
    giver.give()
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    assert (len(done), len(pending)) == (1, 1)
    giver.give()
    await asyncio.wait_for(*pending, 5)
    giver.close()
    assert not (tmp_path / "turns").exists()


async def test_who_gave_up_waiting_takes_nothing(tmp_path):
    giver = Giver(tmp_path / "turns")
    turns = Turns(str(tmp_path / "turns"))
    gone = asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    giver.give()
    await asyncio.wait_for(turns.take(), 5)
    giver.close()


async def test_without_a_sweep_nobody_waits():
    turns = Turns()
    await turns.take()
    assert not turns.given


def test_a_stopwatch_counts_what_overlaps_once():
    watch = Stopwatch()
    with watch.running():
        with watch.running():
            pass
        assert watch.seconds == 0.0
    once = watch.seconds
    assert once > 0
    with watch.running():
        pass
    assert watch.seconds > once
