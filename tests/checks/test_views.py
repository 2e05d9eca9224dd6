"""What checks take from a history: who is who, the auditor's last word, and each run's events."""

import pytest

from netra_sim.checks.views import audited, audited_rows, identities, run_events, stored, wall_to_run, workloads
from tests.checks.story import Story, about, good, inserted, told, user, value_of, without

WHERE = about("residue")
KEY = (user("user-1"), "r-1")


@pytest.mark.parametrize("outcome", ["fail", "unknown"])
def test_only_a_login_that_succeeded_tells_who_somebody_is(outcome):
    story = (
        Story().op("user-1", "login", outcome, told={"user_id": "another"}).op("user-1", "login", told={"tier": "x"})
    )
    assert identities(story.end()) == {}
    assert identities(story.login("user-1").login("user-1").end()) == {"user-1": user("user-1")}


@pytest.mark.parametrize("actor", ["aide", "zealot"])
def test_only_the_auditors_last_word_counts(actor):
    story = Story().seen("auditor", "runs", rows=[1]).seen("auditor", "runs", rows=[2]).seen(actor, "runs", rows=[3])
    assert audited(story.end(), "runs") == story.end().seen("runs")[1]
    for f, view in (("workload", workloads), ("events", stored)):
        mine = Story().seen("auditor", f, user_id="u-1", said="mine").seen(actor, f, user_id="u-1", said="his")
        found = view(mine.end())["u-1"]
        assert (found if isinstance(found, dict) else found.value)["said"] == "mine"


def test_a_runs_events_are_those_that_are_numbered_or_an_agents():
    script = run_events(good())[KEY]
    assert [event.run_seq for event in script] == list(range(1, len(script) + 1))
    frame = value_of(good(), about("frame", run_seq=3))
    for change, more in (
        ({"type": "agent_thinking", "run_seq": None}, [0]),  # an agent's event without its number must be found
        ({"type": "note", "run_seq": 1}, [1]),
        ({"type": "note", "run_seq": -1}, []),
        ({"type": "note", "run_seq": 0}, []),
        ({"seq": None}, []),
        ({"run_id": None}, []),
    ):
        odd = inserted(good(), WHERE, "user-1", "frame", "seen", **{**frame, "seq": 999, **change})
        assert sorted(event.run_seq for event in run_events(odd)[KEY]) == sorted([*more, *range(1, len(script) + 1)])
        assert all(run for _, run in run_events(odd))


def test_what_the_user_saw_later_than_it_was_stored_is_the_same_event():
    rows = [[*row[:-1], row[-1] - 300] for row in value_of(good(), about("events"))["of"]]
    assert len(run_events(told(good(), about("events"), of=rows))[KEY]) == len(run_events(good())[KEY])


def test_who_read_nothing_knows_of_no_rows():
    assert audited_rows(Story().end(), "runs") is None
    assert audited_rows(Story().seen("auditor", "runs", rows=[1]).end(), "runs") == [1]


def test_a_user_of_whom_no_event_was_found_has_an_empty_reading_if_there_was_one():
    unread = Story().seen("auditor", "events", user_id="u-1", of=[1])
    assert stored(unread.end(), ["u-1", "u-2"]).keys() == {"u-1"}
    found = stored(unread.seen("auditor", "runs", rows=[]).end(), ["u-1", "u-2"])
    assert {user: record.value["of"] for user, record in found.items()} == {"u-1": [1], "u-2": []}


def test_a_wall_clock_time_counts_from_the_runs_start():
    history = good()
    wall = history.records[0].value["wall"]
    assert wall_to_run(history, (wall + 2.5) * 1000) == pytest.approx(2.5, abs=1e-5)


def test_what_only_the_store_holds_is_an_event_too_in_its_place():
    rows = value_of(good(), about("events"))["of"]
    unseen = told(good(), about("events"), of=rows[::-1])
    for number in (1, 2, 3):
        unseen = without(unseen, about("frame", run_seq=number))
    assert run_events(unseen)[KEY] == run_events(good())[KEY]
    strange = [rows[-1][0], None, *rows[-1][2:]]  # of no run
    assert run_events(told(good(), about("events"), of=[*rows, strange])) == run_events(good())
