"""golden/many-users: a hundred users at once, with small faults among them; how long do answers take?"""

from __future__ import annotations

from pydantic import Field

from netra_sim.checks import events, isolation, residue, slo
from netra_sim.checks.delivery import exactly_once_in_order
from netra_sim.checks.verdict import Check
from netra_sim.faults.plan import Step
from netra_sim.scenarios.scenario import Control, Parameters, Scenario
from netra_sim.users.persona import Profile

# Seconds before scaling, and shares (reference, section 8).
AVERAGE, P95, P99, CONNECT, RUN, READ, WRITE = 5.0, 10.0, 15.0, 3.0, 30.0, 2.0, 5.0
SUCCESS = 0.95


class Crowd(Parameters):
    """Users come within the window, think, ask, burst, lose the connection, and some leave before the answer."""

    users: int = Field(100, ge=2, le=5000, description="simulated users")
    messages: int = Field(2, ge=1, le=100, description="messages of each user at most")
    window: float = Field(16.0, ge=0, le=600, description="seconds in which the users arrive")
    think: float = Field(
        1.5, ge=0.1, le=600, description="median seconds of thinking between questions, before scaling"
    )
    faults: bool = Field(True, description="whether small faults strike meanwhile")
    time_scale: float = Field(0.5, gt=0, le=1, description="factor of every timeout, pause, think time and LLM latency")


def _profile(p: Crowd) -> Profile:
    least = (p.messages + 1) // 2
    return Profile(
        messages=(least, p.messages), think_s=p.think, threads=2, drop=0.05, history=0.3, signup=0.02, probe=0.02,
        logout=0.3, burst=0.15, abandon=0.03,
    )  # fmt: skip


def _plan(p: Crowd) -> tuple[Step, ...]:
    """Around the end of the arrivals, one after the other: a slow store, connections reset, the cache away."""
    if not p.faults:
        return ()
    first = p.window - p.scaled(2.0)
    return (
        Step("latency", "postgres", first, p.scaled(1.0), {"latency": 10, "jitter": 5}),
        # Strikes a connection when something comes down it: for so long, and of so many, that some are surely hit.
        Step("reset_peer", "edge", first + p.scaled(2.0), p.scaled(1.5), {"timeout": 0}, toxicity=0.4),
        Step("down", "redis", first + p.scaled(4.0), p.scaled(1.0), {}),
    )


def _checks(p: Crowd) -> tuple[Check, ...]:
    chat = "chat"
    return (
        slo.load_applied(),
        slo.success_rate(chat, SUCCESS, whole=True, proves=("GP-USERS.1", "GP-PERF.3")),
        exactly_once_in_order(proves=("GP-PERF.3",)),
        isolation.isolated(proves=("GP-USERS.3",)),
        slo.average_within(chat, p.scaled(AVERAGE), proves=("GP-PERF.1",)),
        slo.within_limit(chat, p.scaled(P95), 0.95, name="p95_within_limit", proves=("GP-PERF.1",)),
        slo.within_limit(chat, p.scaled(P99), 0.99, name="p99_within_limit", proves=("GP-PERF.1",)),
        slo.within_limit("connect", p.scaled(CONNECT), name="connect_within_limit", proves=("GP-PERF.2",)),
        slo.within_limit(chat, p.scaled(RUN), name="run_within_limit", proves=("GP-PERF.2",)),
        slo.within_limit("history", p.scaled(READ), name="read_within_limit", proves=("GP-PERF.2",)),
        slo.within_limit("send", p.scaled(WRITE), name="write_within_limit", proves=("GP-PERF.2",)),
        events.legal_events(proves=()),
        residue.no_residue(),
    )


def _controls(p: Crowd) -> tuple[Control, ...]:
    def slow(edge: str, seconds: float) -> tuple[Step, ...]:
        return (Step("latency", edge, 0.0, None, {"latency": round(p.scaled(seconds) * 1000)}),)

    # Statements of other kinds go on as usual: were all of them slow, hardly a user would come to read anything.
    page = {"type": ["Query", "Execute"], "text": "FROM messages m"}
    late_page = {"delay": round(p.scaled(1.2 * READ) * 1000), "match": page}
    return (
        Control("slow-model", "The model takes its time over every word: answers come late.",
                ("average_within_limit", "p95_within_limit", "p99_within_limit", "run_within_limit"),
                steps=slow("llm", 0.75 * RUN / 4)),
        Control("slow-edge", "The way to the platform is slow: connecting and sending take longer than they may.",
                ("connect_within_limit", "write_within_limit"), steps=slow("edge", 1.1 * WRITE)),
        Control("slow-database", "The database is late with every page of a thread: reads take longer than they may.",
                ("read_within_limit",), steps=(Step("delay_message", "postgres", 0.0, None, late_page),)),
        Control("model-away", "The language model refuses every call: nobody gets a full answer.",
                ("success_rate",), steps=(Step("script", "llm", 0.0, None, script=({"do": {"status": 503}},)),),
                at_most={"messages": 1}),
        Control("event-dropped", "Events vanish on the way: the users' views have holes.",
                ("exactly_once_in_order",), defect="event_dropped"),
        Control("canary-leaked", "A tool reads every tenant's data: users see each other's projects.",
                ("isolated",), defect="canary_leaked"),
    )  # fmt: skip


SCENARIO = Scenario(
    name="golden/many-users",
    title="A hundred users at once",
    question="When a hundred users think, ask, burst and leave at the same time, does each get his answer in time?",
    hypothesis=(
        "At least 95 % of all questions are answered, within the limits on average and at the tail, while small faults "
        "strike; and nobody ever sees anything of another."
    ),
    consequence="A busy hour, with its small failures, feels like any other hour.",
    parameters=Crowd,
    profile=_profile,
    plan=_plan,
    checks=_checks,
    controls=_controls,
    smoke=("model-away",),
    runbook=(
        "Compare users online with the time to answer (the report's figure): where the medians begin to climb, a "
        "resource is full.",
        "See which: CPU of the workers (add workers), connections in use (the pool's size), the model's own latency.",
        "Answers late but connects quick: the model or the tools; both late: the workers.",
    ),
    not_proven=(
        "More machines than one: users, platform and stores share the two cores of this one.",
        "A database read is judged by the request that contains it, a write by the acknowledgement that follows it.",
    ),
    lasts=lambda p: p.window + p.messages * p.scaled(3 * p.think + 15.0),
    at_most={"users": 12, "window": 2.0},
    full=({"messages": 5, "think": 12.0}, {"users": 200, "window": 40.0, "think": 15.0}),
)
