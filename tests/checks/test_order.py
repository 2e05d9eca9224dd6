import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.checks.order import ROUTES, Span, dependencies_hold, independent_overlap
from tests.checks.story import Story, about, cannot_tell, convicts, good, passes, script
from tests.checks.test_events import tell

DEPENDENCIES = dependencies_hold()
OVERLAP = independent_overlap()


def _lives(*agents: str, failed: str = "") -> list[tuple[str, str, str, str]]:
    """Agents one after the other."""
    return [
        (type_, agent, "", "")
        for agent in agents
        for type_ in ("agent_started", "agent_error" if agent == failed else "agent_completed")
    ]


def _early(route: str, agent: str) -> list[tuple[str, str, str, str]]:
    """The legal script, but the agent starts right after triage has started."""
    events = script(route)
    start = ("agent_started", agent, "", "")
    events.remove(start)
    n = events.index(("agent_started", "triage", "", ""))
    return [*events[: n + 1], start, *events[n + 1 :]]


def test_the_good_history_holds():
    assert "all 4 runs" in passes(DEPENDENCIES, good()).observed
    assert "4 of 4 pairs" in passes(OVERLAP, good()).observed


@given(st.sampled_from([(route, agent) for route, agents in ROUTES.items() for agent in agents if agent != "triage"]))
def test_any_agent_that_starts_too_early_is_convicted(case):
    route, agent = case
    convicts(DEPENDENCIES, tell(_early(route, agent)), f"{agent} starts before", "has ended")


def test_a_dependency_that_never_ended_is_convicted():
    events = [event for event in script("sufficient") if event[:2] != ("agent_completed", "data")]
    convicts(DEPENDENCIES, tell(events), "optimization starts before data has ended")


def test_agents_that_no_route_has_together_are_convicted():
    convicts(DEPENDENCIES, tell(_lives("triage", "data_helper", "optimization", "reporting")), "no route has")


@pytest.mark.parametrize(
    "agents", [("triage", "reporting"), ("triage", "data", "reporting"), ("triage", "data", "actions", "reporting")]
)
def test_an_agent_left_out_for_no_reason_is_convicted(agents):
    convicts(DEPENDENCIES, tell(_lives(*agents)))


@pytest.mark.parametrize(
    ("agents", "failed"),
    [
        (("triage", "reporting"), "triage"),
        (("triage", "data", "reporting"), "data"),
        (("triage", "data", "optimization", "reporting"), "optimization"),
        (("triage", "data", "optimization", "actions", "reporting"), "data"),
        (("triage", "data_helper", "reporting"), "data_helper"),
    ],
)
def test_an_agent_may_be_left_out_after_a_failure(agents, failed):
    passes(DEPENDENCIES, tell(_lives(*agents, failed=failed)))


def test_a_run_that_stops_early_breaks_no_dependency():
    passes(DEPENDENCIES, tell(_lives("triage", "data", failed="data")))


def test_nothing_to_wait_for_is_unknown():
    cannot_tell(DEPENDENCIES, tell(_lives("triage")))
    cannot_tell(DEPENDENCIES, tell(_lives("supervisor")))
    cannot_tell(DEPENDENCIES, Story().end())


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ((1, 3), (2, 4), True),
        ((1, 2), (2, 3), False),
        ((1, 2), (5, 6), False),
        ((1, None), (5, 6), True),
        ((1, 2), (5, None), False),
        ((1, None), (2, None), True),
    ],
)
def test_spans_overlap_when_each_starts_before_the_other_ends(one, other, overlap):
    a, b = (Span(start, end, "", 0.0) for start, end in (one, other))
    assert (a.overlaps(b), b.overlaps(a)) == (overlap, overlap)


def _in_sequence() -> list[tuple[str, str, str, str]]:
    """A partial route whose tools wait for each other."""
    events = script("partial")
    done = next(event for event in events if event[0] == "tool_completed")
    events.remove(done)
    first = next(n for n, event in enumerate(events) if event[0] == "tool_executing")
    return [*events[: first + 1], done, *events[first + 1 :]]


def test_tools_in_sequence_are_convicted():
    verdict = convicts(OVERLAP, tell(_in_sequence()), "0 of 1 pair of independent tools overlapped (0 %)")
    assert verdict.evidence[0]["agent"] == "data"


def test_agents_in_sequence_are_convicted():
    events = _lives("triage", "data_helper", "data", "reporting")
    convicts(independent_overlap(of=("agents",)), tell(events), "0 of 1 pair of independent agents")


def test_an_agent_that_starts_as_the_other_ends_does_not_overlap():
    events = script("partial")
    end = events.index(("agent_completed", "data_helper", "", ""))
    start = ("agent_started", "data", "", "")
    events.remove(start)
    late = [*events[:end], start, *events[end:]]
    convicts(independent_overlap(of=("agents",)), tell(late))


@pytest.mark.parametrize(("apart", "outcome"), [(1, passes), (2, convicts)])
def test_nine_in_ten_must_overlap(apart, outcome):
    story = Story().login("user-1").connect("user-1")
    for n in range(10):
        story.send("user-1", f"r-{n}")
        for number, event in enumerate(_in_sequence() if n < apart else script("partial"), start=1):
            story.event("user-1", f"r-{n}", number, *event)
    outcome(OVERLAP, story.audit().end())
    passes(independent_overlap(0.5), story.end())


def test_one_kind_does_not_hide_behind_the_other():
    story = Story().login("user-1").connect("user-1")
    for n in range(30):
        story.chat("user-1", f"r-{n}", "sufficient")
    story.send("user-1", "r-x")
    for number, event in enumerate(_lives("triage", "data_helper", "data", "reporting"), start=1):
        story.event("user-1", "r-x", number, *event)
    convicts(OVERLAP, story.audit().end(), "30 of 30 pairs of independent tools", "0 of 1 pair of independent agents")


def test_a_kind_that_never_occurred_is_unknown():
    cannot_tell(OVERLAP, tell(script("sufficient")), "No two independent agents ran")
    passes(independent_overlap(of=("tools",)), tell(script("sufficient")))
    cannot_tell(independent_overlap(of=("tools",)), tell(_lives("triage")))


def test_a_call_that_never_returned_is_no_pair():
    history = tell([event for event in script("sufficient") if event[0] != "tool_completed"])
    cannot_tell(independent_overlap(of=("tools",)), history)
    assert not any(map(about("frame", type="tool_completed"), history.records))
