import pytest

from netra_sim.backend.reliability.breaker import BareBreaker, Breaker, State
from netra_sim.kernel.clock import ManualClock

PAUSE, CAP = 1.0, 5.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def told() -> list[State]:
    return []


@pytest.fixture
def breaker(clock: ManualClock, told: list[State]) -> Breaker:
    return Breaker(PAUSE, CAP, clock, told.append)


def strike(breaker: Breaker, outcomes: str) -> None:
    """`x` is a failed attempt, `.` a good one."""
    for outcome in outcomes:
        assert breaker.admit() == 0
        breaker.record(ok=outcome == ".", probe=breaker.state == "half_open")


@pytest.mark.parametrize(
    ("outcomes", "opens_with"),
    [
        ("x" * 8, 8),
        ("." * 100 + "x" * 8, 108),  # 8 in a row
        ("." * 11 + "x" * 7 + ".", None),  # 7 in a row, 7 of 19
        ("x" * 7 + ".." + "x", 10),  # 10 attempts are enough to judge by share
        ("x." * 5, 10),
        ("x." * 4 + ".." * 3, None),
        ("." * 100 + "x." * 10, 119),  # 10 of the last 20
        ("x.." * 30, None),
    ],
)
def test_when_it_opens(breaker: Breaker, outcomes: str, opens_with: int | None):
    opened = None
    for number, outcome in enumerate(outcomes, start=1):
        strike(breaker, outcome)
        if breaker.state == "open":
            opened = number
            break
    assert opened == opens_with


async def test_open_refuses_and_says_how_long(breaker: Breaker, clock: ManualClock):
    strike(breaker, "x" * 8)
    assert breaker.admit() == PAUSE
    await clock.advance(0.4)
    assert breaker.admit() == pytest.approx(0.6)


async def test_after_the_pause_it_claims_no_outage_that_nobody_has_seen_since(
    breaker: Breaker, clock: ManualClock, told: list[State]
):
    strike(breaker, "x" * 8)
    await clock.advance(PAUSE - 0.1)
    assert breaker.state == "open"
    await clock.advance(0.1)
    assert breaker.state == "half_open"
    assert told == ["open"]  # nobody has called: nothing has happened
    strike(breaker, "x")
    assert breaker.state == "open"


async def test_it_fails_until_it_answers_or_nobody_has_asked_for_the_longest_pause(
    breaker: Breaker, clock: ManualClock
):
    assert not breaker.failing
    strike(breaker, "x" * 8)
    await clock.advance(PAUSE + CAP - 0.1)
    assert breaker.failing
    strike(breaker, "x")  # asked again, the pause is twice as long
    await clock.advance(2 * PAUSE + CAP - 0.1)
    assert breaker.failing
    await clock.advance(0.1)
    assert not breaker.failing
    assert breaker.state == "half_open"
    assert breaker.admit() == 0
    breaker.record(ok=False, probe=True)
    assert breaker.failing
    await clock.advance(4 * PAUSE)
    strike(breaker, ".")
    assert not breaker.failing


async def test_after_the_pause_one_probe_goes_out_and_the_others_wait(breaker: Breaker, clock: ManualClock):
    strike(breaker, "x" * 8)
    await clock.advance(PAUSE)
    assert breaker.admit() == 0
    assert breaker.state == "half_open"
    assert breaker.admit() == PAUSE


async def test_failed_probes_double_the_pause_to_its_cap(breaker: Breaker, clock: ManualClock):
    strike(breaker, "x" * 8)
    for pause in (1, 2, 4, 5, 5):
        assert breaker.admit() == pause
        await clock.advance(pause)
        strike(breaker, "x")
        assert breaker.state == "open"


async def test_a_good_probe_closes_with_a_clean_slate(breaker: Breaker, clock: ManualClock, told: list[State]):
    strike(breaker, "x" * 8)
    await clock.advance(PAUSE)
    strike(breaker, "x")
    await clock.advance(2 * PAUSE)
    strike(breaker, ".")
    assert told == ["open", "half_open", "open", "half_open", "closed"]
    strike(breaker, "x" * 7)
    assert breaker.state == "closed"
    strike(breaker, "x")
    assert breaker.admit() == PAUSE  # the first pause again


async def test_a_cancelled_probe_leaves_its_place(breaker: Breaker, clock: ManualClock):
    strike(breaker, "x" * 8)
    await clock.advance(PAUSE)
    assert breaker.admit() == 0
    breaker.abandon(probe=True)
    assert breaker.admit() == 0
    breaker.record(ok=True, probe=True)
    assert breaker.state == "closed"


async def test_a_probe_that_hangs_does_not_hold_up_the_next(breaker: Breaker, clock: ManualClock):
    strike(breaker, "x" * 8)
    await clock.advance(PAUSE)
    assert breaker.admit() == 0
    await clock.advance(PAUSE)
    assert breaker.admit() == 0
    breaker.record(ok=True, probe=True)
    assert breaker.state == "closed"
    breaker.record(ok=False, probe=True)  # the first one, at last: it decides nothing any more
    assert breaker.state == "closed"


@pytest.mark.parametrize("ok", [True, False])
async def test_an_attempt_from_before_the_opening_does_not_decide_for_the_probe(
    breaker: Breaker, clock: ManualClock, ok: bool
):
    strike(breaker, "x" * 8)
    breaker.record(ok=ok, probe=False)
    assert breaker.state == "open"
    await clock.advance(PAUSE)
    assert breaker.admit() == 0
    breaker.record(ok=ok, probe=False)
    breaker.abandon(probe=False)
    assert breaker.state == "half_open"
    assert breaker.admit() == PAUSE  # the probe is still out


def test_no_breaker_lets_everything_out():
    bare = BareBreaker()
    for _ in range(50):
        assert bare.admit() == 0
        bare.record(ok=False)
        bare.abandon()
    assert bare.state == "closed"
