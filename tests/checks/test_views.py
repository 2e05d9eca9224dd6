"""What checks take from a history: who is who, the auditor's last word, and each run's events."""

import pytest

from netra_sim.checks.views import audited, identities, run_events, stored, workloads
from tests.checks.story import Story, about, good, inserted, told, user, value_of

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
