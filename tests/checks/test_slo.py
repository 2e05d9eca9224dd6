import math

from hypothesis import given
from hypothesis import strategies as st

from netra_sim.checks.slo import average_within, load_applied, quantile, success_rate, within_limit
from tests.checks.story import Story, about, cannot_tell, convicts, good, passes, told, twice, without


def _sends(ok: int, **others: int) -> Story:
    story = Story(step=0)
    for n in range(ok):
        story.op("user-1", "send", message_id=f"m-{n}")
    for outcome, many in others.items():
        for n in range(many):
            story.op("user-1", "send", outcome, message_id=f"{outcome}-{n}")
    return story


def test_success_rate_holds_at_its_limit_and_not_below():
    passes(success_rate("send", 0.95), _sends(20).end())
    passes(success_rate("send", 0.95), _sends(19, fail=1).end())
    verdict = convicts(success_rate("send", 0.95), _sends(18, fail=2).end(), "18 of 20", "90 %", "first at 1.8 s")
    assert [facts["which"] for facts in verdict.evidence] == ["first and worst", "last"]


def test_an_unknown_outcome_is_no_success():
    convicts(success_rate("send", 0.95), _sends(18, unknown=2).end(), "2 got no answer")
    convicts(success_rate("send", 0.95), _sends(1).open_op("user-1", "send").end(), "1 of 2")
    convicts(success_rate("send", 0.95), _sends(5, fail=3, unknown=1).end(), "3 failed and 1 got no answer")


def test_success_rate_judges_its_own_ops_only():
    story = _sends(20)
    story.op("user-1", "login", "fail")
    passes(success_rate("send", 1.0), story.end())
    convicts(success_rate(("send", "login"), 1.0), story.end(), "sends and logins")
    cannot_tell(success_rate("chat", 0.95), story.end(), "No chats")


def test_within_limit_below_1000_samples_takes_not_one_over():
    story = Story()
    for n in range(999):
        story.op("user-1", "connect", took=3.1 if n == 500 else 0.2)
    verdict = convicts(within_limit("connect", 3.0), story.end(), "1 of 999", "3.1 s", "999 samples")
    assert "p99" not in verdict.observed
    assert verdict.evidence[0]["seconds"] == 3.1


def test_within_limit_from_1000_samples_on_judges_the_p99():
    few, many = Story(), Story()
    for n in range(1000):
        few.op("user-1", "connect", took=3.1 if n < 10 else 0.2)
        many.op("user-1", "connect", took=3.1 if n < 11 else 0.2)
    assert "p99 0.2 s" in passes(within_limit("connect", 3.0), few.end()).observed
    convicts(within_limit("connect", 3.0), many.end(), "p99 3.1 s")


def test_a_p99_of_just_the_limit_holds_and_the_others_are_told():
    story, even = Story(), Story()
    for n in range(1100):
        story.op("user-1", "connect", took=9.0 if n < 11 else 3.0)
        even.op("user-1", "connect", took=0.01 * (n + 1))
    assert "p99 3 s" in passes(within_limit("connect", 3.0), story.end()).observed
    assert "p50 5.5 s, p95 10.4 s, p99 10.9 s" in convicts(within_limit("connect", 3.0), even.end()).observed


def test_an_op_without_an_end_is_over_any_limit():
    story = Story().op("user-1", "connect").open_op("user-2", "connect")
    convicts(within_limit("connect", 3.0), story.end(), "1 of 2", "never ended")
    story = Story().op("user-1", "connect", took=9).open_op("user-2", "connect").op("user-3", "connect", took=8)
    which = {facts["actor"]: facts["which"] for facts in convicts(within_limit("connect", 3.0), story.end()).evidence}
    assert which == {"user-1": "first", "user-2": "worst", "user-3": "last"}


def test_failing_fast_is_not_being_fast():
    story = Story().op("user-1", "connect", "fail", took=0.001)
    cannot_tell(within_limit("connect", 3.0), story.end(), "None of 1 connects succeeded")
    story.op("user-1", "connect", "unknown", took=0.001).op("user-1", "connect", "fail", took=3.0)
    cannot_tell(within_limit("connect", 3.0), story.end(), "None of 3 connects succeeded")
    story.op("user-1", "connect", "fail", took=4.0)
    convicts(within_limit("connect", 3.0), story.end())
    cannot_tell(within_limit("connect", 3.0), Story().end())


def test_exactly_the_limit_holds():
    passes(within_limit("connect", 3.0), Story().op("user-1", "connect", took=3.0).end())


def test_load_applied_wants_every_planned_arrival():
    assert "3 of 3 planned arrivals" in passes(load_applied(), good()).observed
    convicts(load_applied(), without(good(), about("login", "invoke", actor="user-2")), "2 of 3 planned arrivals")
    convicts(load_applied(), told(good(), about("load_ended"), planned_arrivals=4), "75 %")
    passes(load_applied(at_least=0.5), good())
    passes(load_applied(at_least=0.75), told(good(), about("load_ended"), planned_arrivals=4))


def test_a_user_who_tries_again_is_one_arrival():
    history = without(good(), about("login", "invoke", actor="user-2"))
    convicts(load_applied(), twice(history, about("login", "invoke", actor="user-1")))


def test_a_load_that_never_ended_proves_nothing():
    cannot_tell(load_applied(), without(good(), about("load_ended")))
    cannot_tell(load_applied(), told(good(), about("load_ended"), planned_arrivals=0))
    cannot_tell(load_applied(), Story().login("user-1").seen("run", "load_ended").end())


def test_the_last_mark_of_the_loads_end_counts():
    story = Story(step=0).login("user-1").seen("run", "load_ended", planned_arrivals=1)
    story.at(5.0).seen("run", "load_ended", planned_arrivals=2)
    assert convicts(load_applied(), story.end(), "1 of 2").evidence[0]["t"] == 5.0


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_the_quantile_is_the_smallest_sample_that_enough_do_not_exceed(samples, q):
    ordered = sorted(samples)
    value = quantile(ordered, q)
    assert sum(each <= value for each in ordered) >= q * len(ordered) - 1e-9
    assert sum(each < value for each in ordered) < math.ceil(q * len(ordered))
    assert quantile(ordered, 0.0) == ordered[0]


def test_a_quantile_of_its_own_may_be_judged():
    slow = Story()
    for n in range(1000):
        slow.op("user-1", "chat", took=9.0 if n < 50 else 0.2)
    passes(within_limit("chat", 3.0, 0.95), slow.end())
    convicts(within_limit("chat", 3.0), slow.end(), "p99 9 s")


def test_the_average_is_that_of_the_ops_that_succeeded():
    story = Story().op("user-1", "chat", took=1.0).op("user-2", "chat", took=3.0)
    story.op("user-3", "chat", "fail", took=9.0).op("user-3", "chat", "unknown", took=9.0)
    assert "2 s on average over 2 samples" in passes(average_within("chat", 2.0), story.end()).observed
    convicts(average_within("chat", 1.9), story.end(), "2 s on average")
    convicts(average_within("chat", 5.0), story.open_op("user-4", "chat").end(), "Never on average")
    cannot_tell(average_within("chat", 5.0), Story().op("user-1", "chat", "fail").end(), "None of 1 chats")


def test_what_took_longer_than_the_average_may_is_the_evidence():
    story = Story()
    for took in (1.0, 1.5, 3.0):
        story.op("user-1", "chat", took=took)
    (facts,) = convicts(average_within("chat", 1.5), story.end()).evidence
    assert facts["seconds"] == 3.0


def test_what_a_user_gave_up_by_himself_is_not_judged():
    story = Story().op("user-1", "chat").op("user-2", "chat", "unknown", took=9, told={"abandoned": True})
    passes(success_rate("chat", 1.0), story.end())
    passes(within_limit("chat", 1.0), story.end())
    passes(average_within("chat", 1.0), story.end())


def test_where_the_whole_answer_is_wanted_a_part_is_no_success():
    story = Story().op("user-1", "chat", told={"missing": []}).op("user-2", "chat", told={"missing": ["reporting"]})
    passes(success_rate("chat", 1.0), story.end())
    passes(success_rate("chat", 0.5, whole=True), story.end())
    convicts(success_rate("chat", 0.6, whole=True), story.end(), "1 of 2", "1 got a part of it", "0 failed")
    for outcome in ("fail", "unknown"):
        story.op("user-3", "chat", outcome, told={"missing": ["reporting"]})
    convicts(success_rate("chat", 0.6, whole=True), story.end(), "1 failed and 1 got no answer", "1 got a part of it")
