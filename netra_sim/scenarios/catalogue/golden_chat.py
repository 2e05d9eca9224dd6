"""golden/chat: everything is up; do users get the whole, right, private answer?"""

from __future__ import annotations

from netra_sim.checks import (
    events,
    figures,
    handshake,
    isolation,
    order,
    residue,
    routes,
    schema,
    slo,
    states,
    thread,
    workers,
)
from netra_sim.checks.delivery import exactly_once_in_order
from netra_sim.checks.verdict import Check
from netra_sim.faults.plan import Step
from netra_sim.scenarios.scenario import Control, Parameters, Scenario
from netra_sim.users.persona import Profile

CONNECT_LIMIT = 3.0  # seconds, reference section 8
RUN_LIMIT = 30.0


def _profile(p: Parameters) -> Profile:
    return Profile(messages=(p.messages, p.messages), think_s=1.0, threads=2, drop=0.25, probe=0.5, signup=0.1)


def _checks(p: Parameters) -> tuple[Check, ...]:
    connect, run = p.scaled(CONNECT_LIMIT), p.scaled(RUN_LIMIT)
    return (
        events.legal_events(proves=("GP-AGENT.1",)),
        states.legal_transitions(proves=("GP-AGENT.3",)),
        routes.routes_follow_data(proves=("GP-AGENT.2",)),
        schema.results_fit_schema(proves=("GP-AGENT.5",)),
        thread.answers_readable(proves=("GP-AGENT.6",)),
        figures.figures_recomputed(proves=("GP-AGENT.23",)),
        order.dependencies_hold(proves=("GP-AGENT.4",)),
        order.independent_overlap(proves=("GP-AGENT.4",)),
        slo.within_limit("connect", connect, name="connect_within_limit", proves=("GP-WS.1",)),
        handshake.welcome_complete(proves=("GP-WS.1",)),
        handshake.both_ways(proves=("GP-WS.4",)),
        handshake.refuses_bad_tokens(proves=("GP-WS.4",)),
        isolation.isolated(proves=("GP-USERS.3",)),
        exactly_once_in_order(),
        workers.replayed_from_store(proves=("GP-WS.12",)),
        slo.within_limit("chat", run, name="answer_within_limit"),
        slo.success_rate("chat", 0.95, whole=True),
        residue.no_residue(),
    )


def _controls(p: Parameters) -> tuple[Control, ...]:
    slow = round(p.scaled(CONNECT_LIMIT) * 1000 * 1.5)
    return (
        Control("event-forgotten", "A tool's end is never told: the user sees it run for ever.",
                ("legal_events",), defect="event_forgotten"),
        Control("event-dropped", "Events vanish on the way: the user's view has holes.",
                ("exactly_once_in_order",), defect="event_dropped"),
        Control("event-sent-twice", "Events arrive twice: the user sees steps repeat.",
                ("exactly_once_in_order",), defect="event_sent_twice"),
        Control("replay-incomplete", "After a reconnect most of what happened meanwhile is missing.",
                ("replayed_from_store",), defect="replay_incomplete"),
        Control("transition-skipped", "A state is never recorded: a crash there could not be resumed.",
                ("legal_transitions",), defect="transition_skipped"),
        Control("dependencies-ignored", "Agents start before what they build on: the report knows nothing.",
                ("dependencies_hold",), defect="dependencies_ignored"),
        Control("one-route-for-all", "Everyone gets the short answer, however much data he has.",
                ("routes_follow_data",), defect="one_route_for_all"),
        Control("schema-ignored", "What the model says is stored as it comes: the next agent builds on anything.",
                ("results_fit_schema",), defect="schema_ignored"),
        Control("answer-not-stored", "The answer is shown and then gone: the thread does not hold it.",
                ("answers_readable",), defect="answer_not_stored"),
        Control("price-table-stale", "Savings are computed with old prices: the figure in the answer is wrong.",
                ("figures_recomputed",), defect="price_table_stale"),
        Control("steps-in-sequence", "Independent steps wait for each other: answers take longer than they need.",
                ("independent_overlap",), defect="steps_in_sequence"),
        Control("slow-edge", "The way to the platform is slow, and the fault is left behind at the end.",
                ("connect_within_limit", "no_residue"),
                steps=(Step("latency", "edge", 0.0, None, {"latency": slow}, heal=False),)),
        Control("welcome-without-limits", "The client is not told its limits and runs into them.",
                ("welcome_complete",), defect="welcome_without_limits"),
        Control("subprotocol-ignored", "Browsers, which cannot set a header, cannot sign in.",
                ("both_ways",), defect="subprotocol_ignored"),
        Control("token-not-checked", "A forged token opens another user's chat.",
                ("refuses_bad_tokens",), defect="token_not_checked"),
        Control("canary-leaked", "A tool reads every tenant's data: users see each other's projects.",
                ("isolated",), defect="canary_leaked"),
        Control("model-away", "The language model refuses every call: no question is answered.",
                ("success_rate",), steps=(Step("script", "llm", 0.0, None, script=({"do": {"status": 503}},)),)),
    )  # fmt: skip


SCENARIO = Scenario(
    name="golden/chat",
    title="A chat from message to answer",
    question="When everything is up, does every user get the whole answer, in order, and nobody else's?",
    hypothesis=(
        "Every run tells its five events in legal order, passes through legal states only, starts no agent before "
        "what it depends on, and reaches its own user alone, over sockets opened in both ways."
    ),
    consequence="Users watch their agents work step by step, get the full answer, and never see another user's data.",
    parameters=Parameters,
    profile=_profile,
    checks=_checks,
    controls=_controls,
    smoke=("event-dropped",),
    runbook=(
        "Open the report's sequence of one run: every agent's bar must have a start and exactly one end.",
        "A run without an end: look for its run id in the workers' logs, and at its last row in run_transitions.",
        "A hole in a user's seq: compare the events table with the frames; if the table is whole, reconnect with the "
        "last seq seen, and the worker replays the rest.",
    ),
    at_most={"users": 5},
    not_proven=(
        "Research agents, the third kind of independent step that GP-AGENT.4 names, are not part of this run.",
        "The language model is the lab's own; its latency follows the reference, its wording does not.",
    ),
)
