import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.checks.delivery import exactly_once_in_order
from netra_sim.kernel.history import History
from tests.checks.story import (
    Story,
    about,
    cannot_tell,
    convicts,
    good,
    inserted,
    only,
    passes,
    restored,
    swapped,
    told,
    twice,
    user,
    value_of,
    without,
)

CHECK = exactly_once_in_order()
GOOD = good()
LAST = value_of(GOOD, about("events", user_id=user("user-1")))["seqs"][-1]
FRAMES = [(r.actor, r.value["seq"]) for r in GOOD.seen("frame") if r.value["seq"]]


def frame(seq: int, actor: str = "user-1"):
    return about("frame", actor=actor, seq=seq)


def test_the_good_history_passes():
    verdict = passes(CHECK, GOOD)
    assert f"{len(FRAMES):,} events reached 3 users exactly once" in verdict.observed


def test_a_skipped_event_is_convicted():
    verdict = convicts(CHECK, without(GOOD, frame(5)), ": 1 skipped; first at ")
    assert (verdict.evidence[0]["problem"], verdict.evidence[0]["seq"]) == ("skipped", 6)


def test_an_event_sent_twice_is_convicted():
    convicts(CHECK, twice(GOOD, frame(5)), "1 sent again")
    convicts(CHECK, twice(GOOD, frame(5), later=7), "1 sent again")


def test_a_replay_from_before_the_resume_point_is_convicted():
    story = Story().login("user-1").connect("user-1").chat("user-1", "r-1").connect("user-1")
    history = story.audit().end()
    passes(CHECK, history)
    old = {**value_of(history, frame(4)), "connection": "c-2", "replayed": True}
    convicts(CHECK, inserted(history, about("messages"), "user-1", "frame", "seen", **old), "1 sent again")


def test_events_out_of_order_are_convicted():
    convicts(CHECK, swapped(GOOD, frame(5), frame(6)), "1 out of order")


def test_a_lost_last_event_is_convicted_by_the_store():
    verdict = convicts(CHECK, without(GOOD, frame(LAST)), ": 1 stored but never delivered; first at ")
    assert verdict.evidence[0]["actor"] == "user-1"


def test_a_client_that_awaits_its_answer_is_owed_the_last_event():
    story = Story().login("user-1").connect("user-1").open_op("user-1", "chat", message_id="m-r-1")
    story.send("user-1", "r-1").pass_(2).op("user-1", "history")
    convicts(CHECK, without(story.audit().end(), frame(1)), "1 stored but never delivered")


def test_the_first_of_several_lost_events_is_the_evidence():
    (facts,) = convicts(CHECK, without(without(GOOD, frame(LAST)), frame(LAST - 1)), "2 stored but").evidence
    assert (facts["seq"], facts["until"], facts["events"]) == (LAST - 1, LAST, 2)
    seen = next(r for r in GOOD.records if frame(LAST - 1)(r))
    assert abs(facts["t"] - GOOD.seconds(seen.t)) < 0.002


def test_a_client_that_was_cut_off_at_the_end_is_owed_nothing():
    lost = without(GOOD, frame(LAST))
    for phase in ("invoke", "fail", "unknown"):
        passes(CHECK, inserted(lost, about("load_ended"), "user-1", "connect", phase, via="header"))


@pytest.mark.parametrize("last", ["history", "send"])
@pytest.mark.parametrize(("stays", "outcome"), [(0.9, passes), (1.1, convicts)])
def test_a_client_is_owed_what_was_stored_in_good_time_before_it_left(stays, outcome, last):
    story = Story(step=0).login("user-1").connect("user-1").send("user-1", "r-1")
    story.event("user-1", "r-1", 1, "agent_started").pass_(stays).op("user-1", last, took=0)
    story.pass_(60).op("user-1", "logout")
    outcome(CHECK, without(story.audit().end(), frame(2)))


def test_a_client_that_saw_nothing_at_all_is_owed_the_same():
    story = Story().login("user-1").connect("user-1").login("user-2").connect("user-2")
    story.send("user-1", "r-1").send("user-2", "r-2").pass_(2).op("user-2", "history")
    convicts(CHECK, without(story.audit().end(), frame(1, "user-2")), "1 stored but never delivered")


def test_an_event_shown_but_not_stored_is_convicted():
    convicts(CHECK, restored(GOOD, "user-1", lambda rows: rows[:-1]), ": 1 shown but not in the store")
    convicts(CHECK, without(GOOD, about("events", user_id=user("user-1"))), "shown but not in the store")


def test_what_came_after_the_reading_need_not_be_in_it():
    story = Story().login("user-1").connect("user-1").send("user-1", "r-1").audit()
    passes(CHECK, story.event("user-1", "r-1", 1, "agent_started").end())


def test_what_came_just_as_the_store_was_read_must_be_in_it():
    story = Story(step=0).login("user-1").connect("user-1").send("user-1", "r-1")
    history = story.event("user-1", "r-1", 1, "agent_started").audit().end()
    convicts(CHECK, restored(history, "user-1", lambda rows: rows[:-1]), "1 shown but not in the store")


def test_a_replay_of_what_an_earlier_client_saw_is_convicted():
    story = Story().login("user-1").connect("user-1").chat("user-1", "r-1").connect("user-1").chat("user-1", "r-2")
    history = story.audit().end()
    old = {**value_of(history, frame(4)), "connection": "c-2", "replayed": True}
    before = only(history, about("connect", "ok", connection_id="c-2")) - 1
    late = History(r for n, r in enumerate(history.records) if n >= before or r.f in ("start", "login"))
    where = about("frame", type="message_accepted")
    convicts(CHECK, inserted(late, where, "user-1", "frame", "seen", **old), ": 1 sent again")
    resumed = value_of(late, about("connect", "ok"))["last_seq"]
    last = {**value_of(history, frame(resumed)), "connection": "c-2", "replayed": True}
    convicts(CHECK, inserted(late, where, "user-1", "frame", "seen", **last), ": 1 sent again")


def test_a_store_that_is_misnumbered_is_convicted():
    for change in (
        lambda rows: [*rows, rows[-1]],
        lambda rows: [*rows, [rows[-1][0] + 2, *rows[-1][1:]]],
        lambda rows: rows[1:],
    ):
        convicts(CHECK, restored(GOOD, "user-2", change), "1 misnumbered in the store")


def test_the_first_of_several_gaps_is_the_evidence():
    gaps = restored(GOOD, "user-2", lambda rows: [*rows[:3], *rows[4:6], *rows[7:]])
    assert [facts["seq"] for facts in convicts(CHECK, gaps).evidence if facts["problem"] == "misnumbered"] == [5]


def test_a_counter_that_is_not_its_events_is_convicted():
    where = about("events", user_id=user("user-1"))
    passes(CHECK, told(GOOD, where, last_seq=LAST))
    for counter in (LAST - 1, LAST + 1):
        convicts(CHECK, told(GOOD, where, last_seq=counter), "1 misnumbered in the store")


def test_a_client_that_joins_late_starts_at_its_resume_point():
    story = Story().login("user-1").connect("user-1").chat("user-1", "r-1").connect("user-1").chat("user-1", "r-2")
    history = story.audit().end()
    before = only(history, about("connect", "ok", connection_id="c-2")) - 1
    late = History(r for n, r in enumerate(history.records) if n >= before or r.f in ("start", "login"))
    passes(CHECK, late)
    first = value_of(late, about("frame", type="message_accepted"))["seq"]
    convicts(CHECK, without(late, frame(first)), ": 1 skipped")


def test_frames_that_were_on_the_way_when_the_socket_was_replaced_are_legal():
    story = Story().login("user-1").connect("user-1").send("user-1", "r-1").event("user-1", "r-1", 1, "agent_started")
    history = story.connect("user-1").event("user-1", "r-1", 2, "agent_thinking").audit().end()
    late = {**value_of(history, frame(3)), "connection": "c-1"}
    passes(CHECK, inserted(history, frame(3), "user-1", "frame", "seen", **late))


def test_an_unread_store_is_unknown():
    unread = History(r for r in GOOD.records if r.f not in ("events", "runs"))
    cannot_tell(CHECK, unread, "the store was not read for user-1")


def test_a_client_whose_first_connect_was_not_recorded_starts_at_its_first_frame():
    strangers = History(r for r in GOOD.records if r.f != "connect" or r.actor != "user-2")
    passes(CHECK, strangers)
    passes(CHECK, without(strangers, frame(1, "user-2")))
    convicts(CHECK, without(strangers, frame(2, "user-2")), ": 1 skipped")
    last = value_of(GOOD, about("events", user_id=user("user-2")))["seqs"][-1]
    passes(CHECK, without(strangers, frame(last, "user-2")))  # nobody knows whether it was connected at its end


def test_a_client_that_never_signed_in_is_the_user_of_his_socket():
    unsigned = History(r for r in GOOD.records if r.f != "login")
    passes(CHECK, unsigned)
    convicts(CHECK, without(unsigned, frame(LAST)), "1 stored but never delivered")


def test_a_user_without_any_event_takes_nothing_away():
    story = Story().login("user-1").connect("user-1").login("user-2").connect("user-2").send("user-1", "r-1")
    passes(CHECK, story.audit().end())


def test_no_frames_are_unknown():
    cannot_tell(CHECK, Story().login("user-1").connect("user-1").audit().end())


@given(st.sampled_from(FRAMES))
def test_any_frame_removed_is_convicted(which):
    convicts(CHECK, without(GOOD, frame(which[1], which[0])))


@given(st.sampled_from(FRAMES), st.integers(0, 5))
def test_any_frame_doubled_is_convicted(which, later):
    convicts(CHECK, twice(GOOD, frame(which[1], which[0]), later))


@given(st.data())
def test_any_two_frames_of_a_user_swapped_are_convicted(data):
    actor = data.draw(st.sampled_from(["user-1", "user-2", "user-3"]))
    mine = [seq for who, seq in FRAMES if who == actor]
    a, b = data.draw(st.lists(st.sampled_from(mine), min_size=2, max_size=2, unique=True))
    convicts(CHECK, swapped(GOOD, frame(a, actor), frame(b, actor)))
