"""The network of some is lost: their runs go on, and the others notice nothing."""

from collections.abc import Callable

from netra_sim.checks.partition import others_untouched, runs_survive
from netra_sim.kernel.history import History
from tests.checks.story import (
    Story,
    about,
    cannot_tell,
    convicts,
    passes,
    renamed,
    restored,
    script,
    told,
    user,
    without,
)

TOOLS, STARTS = runs_survive("tool_executing"), runs_survive("agent_started", ("down", "partition"))
SPARED = others_untouched("black_hole")
EDGES = {"user-1": "edge", "user-2": "edge-2"}


def struck(after: str, agent: str, kind: str = "partition", target: str = "edge", hits: int = 3) -> History:
    """User 1's connection is cut right after the first such event of that agent; user 2 is in the same place."""
    story = Story().seen("run", "entrances", of=EDGES)
    fault = story._writer.fault(None, kind, "planned", target=target)
    for actor, run in (("user-2", "r-2"), ("user-1", "r-1")):
        story.login(actor).connect(actor).send(actor, run)
    for number, (type_, who, tool, call) in enumerate(script("sufficient"), start=1):
        story.event("user-2", "r-2", number, type_, who, tool, call)
        story.event("user-1", "r-1", number, type_, who, tool, call)
        if (type_, who) == (after, agent) and not story.end().faults()[0].fired:
            story._writer.fault(fault, kind, "fired", target=target)
            story.pass_(0.01)
    story._writer.fault(fault, kind, "healed", hits=hits)
    return story.pass_(1.0).seen("run", "load_ended").audit().end()


def lost(history: History, type_: str, agent: str) -> History:
    """User 1 was never shown this event."""
    return without(history, about("frame", type=type_, agent=agent, actor="user-1"))


def cut(history: History, type_: str) -> History:
    """The store holds nothing of user 1 from the supervisor's last event on, or another one of `type_`."""

    def change(rows: list[list[object]]) -> list[list[object]]:
        return [*rows[:-1], *([[*rows[-1][:3], type_, *rows[-1][4:]]] if type_ else [])]

    return restored(history, "user-1", change)


def test_a_run_that_was_struck_goes_on_to_its_end() -> None:
    passes(TOOLS, struck("tool_executing", "data"))
    passes(STARTS, struck("agent_started", "supervisor"))
    passes(STARTS, struck("agent_started", "triage", kind="down"))
    passes(STARTS, struck("agent_thinking", "triage"))  # what it thinks ends no stage


def test_an_event_never_told_an_end_that_is_none_or_bad() -> None:
    cases: list[tuple[Callable[[], History], str]] = [
        (lambda: lost(struck("tool_executing", "data"), "tool_completed", "data"), "events never seen"),
        (lambda: cut(struck("tool_executing", "data"), ""), "never ended"),
        (lambda: cut(struck("tool_executing", "data"), "agent_death"), "ended badly"),
    ]
    for history, problem in cases:
        verdict = convicts(TOOLS, history(), "0 came to their end")
        assert verdict.evidence[0]["problem"] == problem
        assert verdict.evidence[0]["user"] == user("user-1")


def test_the_user_of_the_other_entrance_and_other_stages_are_not_judged() -> None:
    other = without(struck("tool_executing", "data"), about("frame", type="tool_completed", actor="user-2"))
    for edge in ("a", "z"):
        elsewhere = told(other, about("entrances"), of={**EDGES, "user-2": edge})
        assert passes(TOOLS, elsewhere).observed.startswith("Of 1 run ")
    others = [[99, run, 1, "agent_thinking", "data", None, None, 0.0] for run in ("a", "z")]  # never shown
    passes(TOOLS, restored(struck("tool_executing", "data"), "user-1", lambda rows: [*others, *rows]))
    cannot_tell(TOOLS, struck("agent_started", "triage"), "No run of those struck was in tool_executing")
    cannot_tell(STARTS, struck("agent_completed", "triage"), "No run of those struck was in agent_started")
    cannot_tell(STARTS, struck("tool_executing", "data"), "No run of those struck was in agent_started")


def test_faults_that_struck_nobody() -> None:
    cannot_tell(TOOLS, struck("tool_executing", "data", hits=0), "No partition struck")
    cannot_tell(TOOLS, struck("tool_executing", "data", kind="down"), "No partition struck")
    cannot_tell(STARTS, struck("agent_started", "triage", kind="reset_peer"), "No down or partition struck")


def spared(
    *, during: float = 0.02, fails: int = 0, before: int = 10, under: int = 10, code: int = 1006, loser: str = "user-1",
    usual: float = 0.02, since: float = 2.1, begins: float = 4.1, loses: float = 4.1, hits: int = 9,
    earlier: str = "partition",
) -> History:  # fmt: skip
    """User 1's entrance is silent from 4 to 6 s; user 2 reads all the time, and `loser` loses his connection.

    User 2's reads come one after the other from `since` on, then from `begins` on.
    """
    story = Story(step=0.0).seen("run", "entrances", of=EDGES)
    story.fault(earlier, "edge-2", 1.0, 2.0).at(since)
    fault = story._writer.fault(None, "black_hole", "planned", target="edge")
    for _ in range(before):
        story.op("user-2", "history", took=usual)
    story.at(4.0)._writer.fault(fault, "black_hole", "fired", target="edge")
    story.op("user-1", "history", "unknown", took=0.1)
    story.at(loses).seen(loser, "disconnected", connection="c", code=code).at(begins)
    for n in range(under):
        story.op("user-2", "history", "fail" if n < fails else "ok", took=during)
    story.at(6.0)._writer.fault(fault, "black_hole", "healed", hits=hits)
    for healed in (6.0, 6.5):
        story.at(healed).op("user-2", "history", "fail", took=0.1)
    return story.at(9.0).seen("run", "load_ended").end()


def test_the_others_notice_nothing() -> None:
    passes(SPARED, spared())
    passes(SPARED, spared(during=0.1))
    passes(SPARED, spared(loser="user-2", code=1000))  # he left by himself
    passes(SPARED, spared(loser="user-2", loses=3.99))
    for healed in (6.0, 7.0):
        passes(SPARED, spared(loser="user-2", loses=healed))
    passes(SPARED, spared(earlier="bandwidth"))
    passes(SPARED, spared(usual=0.05, during=0.15))


def test_the_others_fail_wait_or_lose_their_connection() -> None:
    convicts(SPARED, spared(fails=1), "9 of 10")
    convicts(SPARED, renamed(spared(fails=1), about("history", "fail", actor="user-2"), phase="unknown"), "9 of 10")
    convicts(SPARED, spared(during=0.11), "0.11 s")
    convicts(SPARED, spared(loser="user-2"), "1 connection of theirs broke")
    for other in ("a", "z"):
        convicts(SPARED, told(spared(fails=1), about("entrances"), of={**EDGES, "user-2": other}), "9 of 10")
    convicts(SPARED, spared(fails=1, before=0), "9 of 10")  # a failure needs no comparison
    convicts(SPARED, spared(loser="user-2", loses=4.0), "1 connection of theirs broke")
    convicts(SPARED, spared(usual=0.05, during=0.16), "before it 0.05 s")


def test_too_few_to_compare_or_only_one_entrance() -> None:
    cannot_tell(SPARED, spared(before=4), "only 4")
    cannot_tell(SPARED, spared(under=4), "4 under")
    for just_enough in ({"since": 2.0}, {"since": 3.89}, {"begins": 4.0}):
        passes(SPARED, spared(before=5, under=5, **just_enough))
    for since in (1.99, 3.9):  # one began before the calm, or ended as the fault struck
        cannot_tell(SPARED, spared(before=5, since=since), "only 4")
    for phase in ("fail", "unknown"):
        slip = renamed(spared(before=5), about("history", "ok", actor="user-2"), phase=phase)
        cannot_tell(SPARED, slip, "only 4")
    cannot_tell(SPARED, spared(hits=0), "several entrances")
    cannot_tell(SPARED, without(spared(), about("black_hole", "healed")), "several entrances")
    cannot_tell(SPARED, without(spared(), about("entrances")), "several entrances")
    cannot_tell(SPARED, Story().seen("run", "load_ended").end())
