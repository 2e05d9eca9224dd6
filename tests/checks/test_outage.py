"""Outages of a dependency: what users notice, how soon workers do, how soon it is used again."""

from netra_sim.checks.outage import answered_without, detected, restored, slowdown
from netra_sim.kernel.history import History, Phase
from tests.checks.story import Story, Where, about, cannot_tell, convicts, inserted, passes, renamed, told, without

ANSWERED = answered_without("redis", {"history": 0.08})
SLOWDOWN, DETECTED, RESTORED = slowdown("history", "redis"), detected("redis", 0.5), restored("redis", 1.0)


def story(
    *, during: float = 0.03, fails: int = 0, how: str = "fail", reads: int = 20, opened: float | None = 0.1,
    closed: float | None = 0.4, silent: bool = False, target: str = "redis",
) -> History:  # fmt: skip
    """Reads before, in and after an outage from 2 to 4 s; both workers tell their breakers."""
    told = Story(step=0.001).seen("run", "load_started")
    gauges(told, "w-1", "closed")
    gauges(told, "w-2", "closed")
    for _ in range(9):
        told.op("user-1", "history", took=0.02, deadline_s=1.0)
    told.at(1.98).op("user-1", "history", took=0.02, deadline_s=1.0)  # the tenth is over as the fault strikes
    told.fault("kill", target, 2.0, None)
    for n in range(reads):
        told.op("user-1", "history", how if n < fails else "ok", took=during, deadline_s=1.0)
    if opened is not None:
        gauges(told.at(2.0 + opened), "w-1", "open")
    if silent:
        told.seen("observer", "gauges", worker="w-2", answers=False)
    return healed(told, closed)


def healed(told: Story, closed: float | None) -> History:
    fault = told.end().faults()[0].id
    told.at(4.0)._writer.fault(fault, "kill", "healed", hits=1)
    if closed is not None:
        gauges(told.at(4.0 + closed), "w-1", "closed")
    told.at(8.0).seen("run", "load_ended")
    gauges(told.at(9.0), "w-1", "closed")  # too late for any check
    return told.end()


def gauges(told: Story, worker: str, state: str) -> None:
    told.seen("observer", "gauges", worker=worker, breakers={"redis": state, "postgres": "closed"})


def test_all_is_well() -> None:
    for check in (ANSWERED, SLOWDOWN, DETECTED, RESTORED):
        passes(check, story())
        passes(check, story(silent=True))


def test_requests_that_fail_or_take_too_long_are_not_answered() -> None:
    passes(ANSWERED, story(fails=1))
    convicts(ANSWERED, story(fails=2), "2 of 20 requests")
    convicts(ANSWERED, story(during=0.09), "20 of 20")
    convicts(ANSWERED, story(fails=2, how="unknown"), "2 of 20 requests")
    passes(ANSWERED, story(during=0.08))
    passes(ANSWERED, story(reads=10))
    cannot_tell(ANSWERED, story(reads=9), "Only 9 requests")


def test_what_is_asked_as_the_fault_is_healed_or_later_is_not_of_the_outage() -> None:
    reads = Story(step=0).fault("kill", "redis", 2.0, 4.0)
    for start, outcome in [*((2.0 + n * 0.1, "ok") for n in range(10)), *((4.0 + n, "fail") for n in range(5))]:
        reads.at(start).op("user-1", "history", outcome, took=0.01)
    assert "kill 100 % of 10" in passes(ANSWERED, reads.end()).observed


def test_five_times_as_slow_is_too_slow() -> None:
    passes(SLOWDOWN, story(during=0.099))
    convicts(SLOWDOWN, story(during=0.1), "kill 5.0x")
    assert convicts(SLOWDOWN, story(during=0.2), "kill 10.0x").evidence[0]["t"] == 2.0
    passes(SLOWDOWN, story(reads=10))
    for how in ("fail", "unknown"):
        passes(SLOWDOWN, story(fails=9, how=how))
        convicts(SLOWDOWN, story(fails=11, how=how), "kill half or more failed")


def test_an_outage_that_is_noticed_late_or_never() -> None:
    convicts(DETECTED, story(opened=0.6), "0.6 s")
    assert convicts(DETECTED, story(opened=None, closed=None), "never").evidence[0]["t"] == 2.0
    for opened in (0.0, 0.5):
        passes(DETECTED, story(opened=opened))
    passes(detected("redis", 2.0), story(opened=2.0))


def test_a_breaker_that_stays_closed_or_was_open_before_notices_nothing() -> None:
    told = Story(step=0)
    gauges(told, "w-1", "open")
    told.fault("kill", "redis", 2.0, 4.0)
    gauges(told.at(2.1), "w-1", "closed")
    history = told.at(8.0).seen("run", "load_ended").end()
    in_order = History(sorted(history.records, key=lambda r: r.t))
    convicts(DETECTED, in_order, "never")


def test_a_worker_that_does_not_use_it_again_in_time() -> None:
    passes(RESTORED, story(closed=1.0))
    convicts(RESTORED, story(closed=1.1), "1.1 s")
    convicts(RESTORED, story(closed=None), "never")
    for never_open in (story(opened=None), story(opened=None, closed=None)):
        assert "kill 0 s" in passes(RESTORED, never_open).observed
    last_word = History(story(opened=None, closed=None).records[:-1])
    assert "kill 0 s" in passes(RESTORED, last_word).observed
    assert "kill 0 s" in passes(RESTORED, story(closed=0.0)).observed
    assert "kill 0.4 s" in passes(RESTORED, story(opened=2.0)).observed  # open as the fault is healed
    passes(restored("redis", 4.0), story(closed=4.0))  # as the load ends


def test_all_workers_must_use_it_again() -> None:
    for last, outcome in ((4.9, passes), (5.2, convicts)):
        told = Story(step=0)
        gauges(told.fault("kill", "redis", 2.0, 4.0).at(2.1), "w-1", "open")
        gauges(told, "w-2", "open")
        gauges(told.at(4.1), "w-1", "closed")
        gauges(told.at(4.2), "w-2", "open")
        gauges(told.at(last), "w-2", "closed")
        history = told.at(8.0).seen("run", "load_ended").end()
        outcome(RESTORED, History(sorted(history.records, key=lambda record: record.t)))


def test_it_must_be_used_again_before_the_next_strike() -> None:
    for strike, outcome in ((3.5, convicts), (3.0, passes)):
        told = Story(step=0).fault("kill", "redis", 2.0, 3.0)
        gauges(told, "w-1", "open")
        gauges(told.fault("kill", "postgres", strike, 3.6).at(3.7), "w-1", "closed")
        outcome(RESTORED, told.at(8.0).seen("run", "load_ended").end())


def test_an_outage_that_never_ends_leaves_it_unused() -> None:
    story_ = Story(step=0)
    gauges(story_, "w-1", "closed")
    gauges(story_.fault("kill", "redis", 2.0, None).at(2.1), "w-1", "open")
    history = story_.at(8.0).seen("run", "load_ended").end()
    convicts(RESTORED, told(history, about("kill", "fired"), hits=1), "never")


def test_the_last_mark_of_the_loads_end_counts() -> None:
    early = renamed(story(), about("load_started"), f="load_ended")
    assert "kill 0.4 s" in passes(RESTORED, early).observed


def test_another_dependencys_outage_tells_nothing() -> None:
    for target in ("llm", "worker-1"):
        for check in (ANSWERED, SLOWDOWN, DETECTED, RESTORED):
            cannot_tell(check, story(target=target))


def test_without_any_workers_word_nothing_is_told_of_breakers() -> None:
    mute = History(r for r in story().records if r.f != "gauges")
    for check in (DETECTED, RESTORED):
        cannot_tell(check, mute, "no worker told its state")


def test_too_few_before_or_in_the_outage() -> None:
    cannot_tell(ANSWERED, story(reads=0), "Only 0 requests")
    cannot_tell(SLOWDOWN, story(reads=9), "began during the kill")
    nine = (
        without(story(), about("history", "invoke")),
        renamed(story(), about("history", "ok"), phase="fail"),
        another(story(), about("history", "invoke"), "planned", "fired"),  # what follows it is not before any fault
    )
    for history in nine:
        cannot_tell(SLOWDOWN, history, "before the first fault")


def another(history: History, where: Where, *phases: Phase) -> History:
    """The same kind of fault at another dependency, right before the first match."""
    for phase in phases:
        history = inserted(history, where, "nemesis", "kill", phase, target="llm", hits=1)
    return history


def test_faults_that_struck_nobody() -> None:
    for check in (ANSWERED, SLOWDOWN, DETECTED, RESTORED):
        cannot_tell(check, another(story(), about("load_started"), "planned"), "never struck")
        missed = cannot_tell(check, told(story(), about("kill", "healed"), hits=0))
        assert "never struck" not in missed.observed  # it was not judged at all


def test_nothing_to_judge() -> None:
    calm = Story().seen("run", "load_ended").end()
    for check in (ANSWERED, SLOWDOWN, DETECTED, RESTORED):
        cannot_tell(check, calm)
