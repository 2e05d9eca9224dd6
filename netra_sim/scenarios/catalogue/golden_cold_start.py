"""golden/cold-start: from nothing running to the first answer, and where the time went."""

from __future__ import annotations

from pydantic import Field

from netra_sim.checks import events, figures, residue, slo, startup
from netra_sim.checks.verdict import Check
from netra_sim.faults.plan import Step
from netra_sim.scenarios.scenario import Control, Parameters, Scenario
from netra_sim.users.persona import Profile

LIMIT, GOAL = 30.0, 5.0  # seconds before scaling (reference, section 8)


class Newcomers(Parameters):
    """Everybody signs up live, brings his own workload log and asks at once."""

    users: int = Field(2, ge=2, le=50, description="simulated users")
    messages: int = Field(1, ge=1, le=10, description="messages of each user")
    window: float = Field(0.0, ge=0, le=60, description="seconds in which the users arrive")
    time_scale: float = Field(0.5, gt=0, le=1, description="factor of every timeout, pause, think time and LLM latency")


def _profile(p: Newcomers) -> Profile:
    return Profile(
        messages=(p.messages, p.messages), think_s=0.01, data=(1.0, 0.0, 0.0), drop=0.0, probe=0.0, signup=1.0,
        brings_log=True, logout=0.0,
    )  # fmt: skip


def _checks(p: Newcomers) -> tuple[Check, ...]:
    return (
        startup.answered_from_nothing(p.scaled(LIMIT), p.scaled(GOAL), proves=("C15-01.1",)),
        startup.stored_everywhere(proves=("C15-01.2",)),
        figures.figures_recomputed(proves=("C15-01.2",)),
        slo.success_rate("chat", 1.0, whole=True, proves=("C15-01.2",)),
        events.legal_events(proves=()),
        residue.no_residue(),
    )


def _controls(p: Newcomers) -> tuple[Control, ...]:
    slow = round(p.scaled(LIMIT) * 1000 / 4)
    return (
        Control("slow-model", "The model takes its time over every word: the first answer comes too late.",
                ("answered_from_nothing",), steps=(Step("latency", "llm", 0.0, None, {"latency": slow}),)),
        Control("stream-not-kept", "The stream is shown but not kept in Redis: a client that comes back finds nothing.",
                ("stored_everywhere",), defect="stream_not_kept"),
        Control("price-table-stale", "Savings are computed with old prices: the first answer is wrong.",
                ("figures_recomputed",), defect="price_table_stale"),
        Control("model-away", "The language model refuses every call: the newcomer gets no full answer.",
                ("success_rate",), steps=(Step("script", "llm", 0.0, None, script=({"do": {"status": 503}},)),)),
    )  # fmt: skip


SCENARIO = Scenario(
    name="golden/cold-start",
    title="From nothing running to the first answer",
    question="With nothing running, how long is it until a newcomer who signs up has his first whole answer?",
    hypothesis=(
        "Stores, backend, sign-up, login, socket and the first run together take less than 30 s (scaled), and what the "
        "answer stands on is found in Postgres and in Redis afterwards."
    ),
    consequence="After a full outage, or on a new machine, the first customer is served within seconds.",
    parameters=Newcomers,
    profile=_profile,
    checks=_checks,
    controls=_controls,
    smoke=("stream-not-kept",),
    lasts=lambda p: p.scaled(1.1 * LIMIT),
    runbook=(
        "Read the waterfall from above: the longest bar is where time can be won.",
        "A store that does not come up: its log is in the lab's folder; the error names it and its last lines.",
        "Workers wait for their database; they say so once a second until it answers.",
    ),
    not_proven=(
        "A cold page cache: the programs were read from disk at least once before.",
        "The installation itself; this begins with everything installed.",
    ),
    cold=True,
)
