from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.checks.events import legal_events
from netra_sim.kernel.history import History
from tests.checks.story import (
    Story,
    about,
    cannot_tell,
    convicts,
    good,
    passes,
    restored,
    script,
    told,
    user,
    without,
)

CHECK = legal_events()
ROUTES = ["sufficient", "partial", "insufficient"]
Events = list[tuple[str, str, str, str]]


def tell(events: Events, audited: bool = True) -> History:
    """One run with these events, numbered as they come."""
    story = Story().login("user-1").connect("user-1").send("user-1", "r-1")
    for number, event in enumerate(events, start=1):
        story.event("user-1", "r-1", number, *event)
    return (story.audit() if audited else story).end()


def _index(events: Events, type_: str, agent: str) -> int:
    return next(n for n, event in enumerate(events) if event[:2] == (type_, agent))


def _cut(events: Events, type_: str, agent: str) -> Events:
    n = _index(events, type_, agent)
    return events[:n] + events[n + 1 :]


def _move(events: Events, type_: str, agent: str, to: int) -> Events:
    n = _index(events, type_, agent)
    rest = events[:n] + events[n + 1 :]
    return [*rest[:to], events[n], *rest[to:]]


def _change(events: Events, type_: str, of: str, **fields: str) -> Events:
    n = _index(events, type_, of)
    now = dict(zip(("type", "agent", "tool", "call"), events[n], strict=True)) | fields
    return [*events[:n], tuple(now.values()), *events[n + 1 :]]


@pytest.mark.parametrize("route", ROUTES)
def test_each_route_is_legal(route):
    passes(CHECK, tell(script(route)))


def test_the_whole_good_history_is_legal():
    assert "All 4 runs" in passes(CHECK, good()).observed


FULL = script("sufficient")
ILLEGAL = {
    "thinks before it started": (_move(FULL, "agent_thinking", "data", 1), "agent_thinking of data comes before"),
    "speaks after its end": (
        [*FULL[:-1], ("agent_thinking", "data", "", ""), FULL[-1]],
        "of data comes after it ended",
    ),
    "starts twice": ([*FULL[:-1], ("agent_started", "data", "", ""), FULL[-1]], "data starts twice"),
    "ends twice": ([*FULL[:-1], ("agent_error", "data", "", ""), FULL[-1]], "of data comes after it ended"),
    "data starts before the supervisor": ([("agent_started", "data", "", ""), *FULL], "data starts before the"),
    "starts before the supervisor": (_move(FULL, "agent_started", "supervisor", 1), "before the supervisor"),
    "the supervisor ends too early": (_move(FULL, "agent_completed", "supervisor", len(FULL) - 2), "before reporting"),
    "speaks after the supervisor": ([*FULL, ("agent_thinking", "reporting", "", "")], "after the supervisor's end"),
    "an agent never ends": (_cut(FULL, "agent_completed", "actions"), "the supervisor ends before actions"),
    "a tool never completes": (_cut(FULL, "tool_completed", "data"), "data completes while its tool"),
    "a tool completes unasked": (_cut(FULL, "tool_executing", "data"), "a call that is not open"),
    "another tool completes": (_change(FULL, "tool_completed", "data", tool="other"), "a call that is not open"),
    "another agent completes": (_change(FULL, "tool_completed", "data", agent="supervisor"), "a call that is not open"),
    "a call without an id": (_change(FULL, "tool_executing", "data", call=""), "without a call id"),
    "a call id used again": (_change(FULL, "tool_executing", "data", call="call-data-2"), "under a used call id"),
    "no end at all": (FULL[:-1], "stops after agent_completed of reporting"),
    "nothing at all": ([], "no events at all"),
    "no tool was used": ([event for event in FULL if "tool" not in event[0]], "completes without any tool_completed"),
    "nobody thought": ([event for event in FULL if "thinking" not in event[0]], "without any agent_thinking"),
}


@pytest.mark.parametrize("case", ILLEGAL)
def test_an_illegal_order_is_convicted(case):
    events, words = ILLEGAL[case]
    convicts(CHECK, tell(events), "1 of 1 run broke the legal order", words)


@pytest.mark.parametrize("ending", ["agent_error", "agent_death"])
def test_a_run_may_end_in_error_or_death_early(ending):
    started = [("agent_started", "supervisor", "", ""), ("agent_started", "triage", "", "")]
    passes(CHECK, tell([*started, (ending, "triage", "", ""), (ending, "supervisor", "", "")]))
    convicts(CHECK, tell([*started, (ending, "supervisor", "", "")]), "before triage")


def test_a_dying_agent_takes_its_open_call_with_it():
    call = ("tool_executing", "data", "query", "call-1")
    data = [("agent_started", "data", "", ""), call, ("agent_death", "data", "", "")]
    ends = [("agent_error", "supervisor", "", "")]
    passes(CHECK, tell([("agent_started", "supervisor", "", ""), *data, *ends]))
    late = ("tool_completed", "data", "query", "call-1")
    convicts(CHECK, tell([("agent_started", "supervisor", "", ""), *data, late, *ends]), "comes after it ended")


@pytest.mark.parametrize(("one", "other"), [("data", "data_helper"), ("data_helper", "data")])
def test_an_agent_may_end_while_anothers_tool_is_running(one, other):
    starts = [("agent_started", agent, "", "") for agent in ("supervisor", one, other)]
    call = [(f"tool_{what}", one, "query", "call-1") for what in ("executing", "completed")]
    ends = [("agent_completed", one, "", ""), ("agent_error", "supervisor", "", "")]
    passes(CHECK, tell([*starts, call[0], ("agent_completed", other, "", ""), call[1], *ends]))


def test_the_offence_tells_whose_run_it_was_and_when():
    for events in (ILLEGAL["starts twice"][0], FULL[:-1]):
        history = tell(events)
        (facts,) = convicts(CHECK, history).evidence
        assert (facts["user"], facts["run"]) == (user("user-1"), "r-1")
    last = max(r.t for r in history.seen("frame"))
    assert abs(facts["t"] - history.seconds(last)) < 0.001


def test_what_the_user_missed_is_taken_from_the_store():
    passes(CHECK, without(good(), about("frame", type="tool_executing")))


def test_what_the_store_misses_is_taken_from_the_user():
    passes(CHECK, restored(good(), "user-1", lambda rows: rows[:3] + rows[4:]))


def test_user_and_store_must_tell_the_same():
    convicts(CHECK, told(good(), about("frame", type="agent_thinking"), agent="supervisor"), "event 3 follows event 3")
    convicts(CHECK, told(good(), about("frame", type="agent_thinking"), run_seq=4), "has an earlier seq")


def test_the_numbers_must_rise_with_the_users_stream():
    def cross(rows):
        rows[3][0], rows[4][0] = rows[4][0], rows[3][0]
        return rows

    history = restored(good(), "user-1", cross)
    history = History(r for r in history.records if r.f != "frame" or r.actor != "user-1")
    convicts(CHECK, history, "has an earlier seq")


def test_a_run_of_the_table_without_events_is_convicted():
    rows = [{"run_id": "r-9", "user_id": good().seen("events")[0].value["user_id"], "status": "completed"}]
    convicts(CHECK, told(good(), about("runs"), rows=rows), "no events at all", "r-9")


def test_an_acknowledged_run_without_events_is_convicted():
    story = Story().login("user-1").connect("user-1").chat("user-1", "r-1")
    passes(
        CHECK, story.op("user-1", "send", "fail", told={"code": "store_unavailable"}, message_id="m-8").audit().end()
    )
    for outcome in ("fail", "unknown"):
        story.op("user-1", "send", outcome, told={"run_id": "r-8"}, message_id="m-8")
    passes(CHECK, story.audit().end())
    story.op("user-1", "send", told={"run_id": "r-9", "message_id": "m-9"}, message_id="m-9")
    convicts(CHECK, story.audit().end(), "1 of 2 runs", "no events at all", "r-9")


def test_a_run_without_an_end_is_unknown_while_the_store_was_not_read():
    cannot_tell(CHECK, tell(FULL[:-1], audited=False), "1 of 1 run have no end, and the store was not read")
    passes(CHECK, tell(FULL, audited=False))


def test_a_run_may_begin_the_users_stream():
    story = Story().login("user-1").connect("user-1")
    for number, event in enumerate(FULL, start=1):
        story.event("user-1", "r-1", number, *event)
    passes(CHECK, story.audit().end())


def test_no_run_is_unknown():
    cannot_tell(CHECK, Story().login("user-1").audit().end())


def _spoil(history: History, change) -> History:
    """The same change to what user-1 received of r-1 and to what is stored of it."""
    rows = next(r for r in history.seen("events")).value["of"]
    now = {row[0]: row for row in change([list(row) for row in rows])}
    records = []
    for r in history.records:
        if r.f == "frame" and r.value["seq"] not in now:
            continue
        if r.f == "frame":
            records.append(replace(r, value={**r.value, "run_seq": now[r.value["seq"]][2]}))
        else:
            records.append(r)
    return restored(History(records), "user-1", lambda _: list(now.values()))


@given(st.sampled_from(ROUTES), st.data())
def test_any_event_removed_is_convicted(route, data):
    history = tell(script(route))
    n = data.draw(st.integers(1, len(script(route))))
    convicts(CHECK, _spoil(history, lambda rows: rows[:n] + rows[n + 1 :]))


@given(st.sampled_from(ROUTES), st.data())
def test_any_event_stored_twice_is_convicted(route, data):
    events = script(route)
    n = data.draw(st.integers(0, len(events) - 1))
    if events[n][0] == "agent_thinking":  # to think twice is legal: the copy must keep its number to be one
        history = tell(events)
        rows = history.seen("events")[0].value["of"]
        copy = [rows[-1][0] + 1, *rows[n + 1][1:]]
        convicts(CHECK, restored(history, "user-1", lambda rows: [*rows, copy]))
    else:
        convicts(CHECK, tell([*events[: n + 1], *events[n:]]))


@given(st.sampled_from(ROUTES), st.data())
def test_any_two_events_that_change_numbers_are_convicted(route, data):
    count = len(script(route))
    a, b = sorted(data.draw(st.lists(st.integers(1, count), min_size=2, max_size=2, unique=True)))

    def swap(rows):
        rows[a][2], rows[b][2] = rows[b][2], rows[a][2]
        return rows

    convicts(CHECK, _spoil(tell(script(route)), swap))
