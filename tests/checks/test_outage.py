"""Outages of a dependency: what users notice, how soon workers do, how soon it is used again."""

from netra_sim.checks.outage import answered_without, detected, restored, slowdown
from netra_sim.kernel.history import History
from tests.checks.story import Story, cannot_tell, convicts, passes

ANSWERED = answered_without("redis", {"history": 0.08})
SLOWDOWN, DETECTED, RESTORED = slowdown("history", "redis"), detected("redis", 0.5), restored("redis", 1.0)


def story(
    *, during: float = 0.03, fails: int = 0, few: bool = False, opened: float | None = 0.1, closed: float | None = 0.4,
    silent: bool = False,
) -> History:  # fmt: skip
    """Reads before, in and after an outage from 2 to 4 s; both workers tell their breakers."""
    told = Story(step=0.001).seen("run", "load_started")
    gauges(told, "w-1", "closed")
    gauges(told, "w-2", "closed")
    for _ in range(12):
        told.op("user-1", "history", took=0.02, deadline_s=1.0)
    told.fault("kill", "redis", 2.0, None)
    for n in range(3 if few else 20):
        told.op("user-1", "history", "fail" if n < fails else "ok", took=during, deadline_s=1.0)
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
    return told.at(8.0).seen("run", "load_ended").end()


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
    cannot_tell(ANSWERED, story(few=True), "Only 3 requests")


def test_five_times_as_slow_is_too_slow() -> None:
    passes(SLOWDOWN, story(during=0.099))
    convicts(SLOWDOWN, story(during=0.1), "kill 5.0x")
    cannot_tell(SLOWDOWN, story(few=True), "Fewer than 10")
    cannot_tell(SLOWDOWN, story(fails=15), "Fewer than 10")


def test_an_outage_that_is_noticed_late_or_never() -> None:
    convicts(DETECTED, story(opened=0.6), "0.6 s")
    convicts(DETECTED, story(opened=None, closed=None), "never")


def test_a_worker_that_does_not_use_it_again_in_time() -> None:
    passes(RESTORED, story(closed=1.0))
    convicts(RESTORED, story(closed=1.1), "1.1 s")
    convicts(RESTORED, story(closed=None), "never")
    passes(RESTORED, story(opened=None, closed=None))  # it never stopped using it


def test_nothing_to_judge() -> None:
    calm = Story().seen("run", "load_ended").end()
    for check in (ANSWERED, SLOWDOWN, DETECTED, RESTORED):
        cannot_tell(check, calm)
