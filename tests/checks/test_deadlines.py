from hypothesis import given
from hypothesis import strategies as st

from netra_sim.checks.deadlines import nothing_held, pool_recovers
from tests.checks.story import Story, cannot_tell, convicts, good, passes

CHECK = nothing_held(0.5)


def request(took: float, outcome: str = "ok") -> Story:
    return Story(step=0).op("user-1", "history", outcome, took=took, deadline_s=2.0)


def test_the_good_history_passes():
    passes(CHECK, good())


def test_the_slack_is_allowed_and_told():
    assert "0.4 s of the slack" in passes(CHECK, request(2.4).end()).observed
    passes(CHECK, request(2.5).end())


def test_what_was_left_of_the_deadline_is_told():
    assert "the closest had 0.5 s to spare" in passes(CHECK, request(1.5).end()).observed
    assert "the closest had 0 s to spare" in passes(CHECK, request(2.0).end()).observed


def test_the_rounding_of_a_difference_is_not_time():
    assert 0.8 - 0.5 - 0.3 > 0
    passes(nothing_held(0.3), Story(step=0).op("user-1", "history", took=0.8, deadline_s=0.5).end())


def test_a_request_held_too_long_is_convicted_however_it_ended():
    for outcome in ("ok", "fail", "unknown"):
        verdict = convicts(CHECK, request(2.6, outcome).end(), "1 of 1 request", "by up to 0.6 s")
        assert verdict.evidence[0]["over_s"] == 0.6


def test_an_open_request_is_convicted_once_its_deadline_has_passed():
    story = Story(step=0).open_op("user-1", "history", deadline_s=2.0)
    convicts(CHECK, story.at(2.6).seen("run", "load_ended").end())


def test_an_open_request_before_its_deadline_cannot_be_judged():
    story = Story(step=0).open_op("user-1", "history", deadline_s=2.0)
    cannot_tell(CHECK, story.at(2.4).seen("run", "load_ended").end())
    cannot_tell(CHECK, story.at(2.5).seen("run", "load_ended").end())


def test_f_narrows_what_is_judged():
    history = request(9.0).op("user-1", "send", deadline_s=1.0).end()
    passes(nothing_held(0.5, ("send",)), history)
    convicts(nothing_held(0.5, ("send", "history")), history)


def test_without_deadlines_nothing_is_judged():
    cannot_tell(CHECK, Story().op("user-1", "history", took=100.0).end())


def test_the_pool_is_by_default_held_to_the_references_limit():
    assert pool_recovers().expected == (
        "Within 60 s after the timeout is healed the sends and history reads succeed again, at least 95 % of them "
        "from then on."
    )
    stalled = Story(step=0).fault("timeout", "postgres", 10.0, 12.0).at(13.0)
    cannot_tell(pool_recovers(), stalled.end(), "No sends and history reads")
    passes(pool_recovers(), stalled.op("user-1", "send").end())


@given(st.lists(st.floats(0.001, 2.4), max_size=20), st.floats(2.51, 100), st.integers(0, 20))
def test_one_held_request_among_any_is_convicted(times, held, n):
    story = Story()
    for took in [*times[:n], held, *times[n:]]:
        story.op("user-1", "history", took=took, deadline_s=2.0)
    convicts(CHECK, story.end(), f"1 of {len(times) + 1} request")
