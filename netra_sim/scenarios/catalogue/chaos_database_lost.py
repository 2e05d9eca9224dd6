"""chaos/database-lost: Postgres is cut off, refuses, stalls, is killed and comes back, under load."""

from __future__ import annotations

from pydantic import Field

from netra_sim.checks import deadlines, events, isolation, recovery, residue, slo, states
from netra_sim.checks.delivery import exactly_once_in_order
from netra_sim.checks.ledger import acknowledged_writes
from netra_sim.checks.verdict import Check
from netra_sim.faults.plan import Step
from netra_sim.scenarios.scenario import WELCOME, Control, Parameters, Scenario
from netra_sim.users.persona import Profile

RESET, RECOVERY, SLACK, AFTERWARDS = 1.0, 60.0, 2.0, 60.0  # seconds before scaling
ENOUGH = 8  # operations after a fault, for a recovery to be told


class Outage(Parameters):
    """Faults strike one after the other once half of the users are in; after each there is some quiet to recover in."""

    users: int = Field(12, ge=2, le=5000, description="simulated users")
    messages: int = Field(7, ge=1, le=1000, description="messages of each user")
    window: float = Field(0.5, ge=0, le=600, description="seconds in which the users arrive")
    first: float = Field(
        5.0,
        ge=0,
        le=600,
        description="seconds from when half of the users are in to the first fault, before time_scale",
    )
    quiet: float = Field(
        16.0, ge=1, le=600, description="seconds of quiet after the stall, before time_scale; less after shorter faults"
    )
    refused: float = Field(3.0, gt=0, le=600, description="seconds in which connections are refused, before time_scale")
    stalled: float = Field(10.0, gt=0, le=600, description="seconds in which nothing is answered, before time_scale")
    killed: float = Field(4.0, gt=0, le=600, description="seconds between kill -9 and restart, before time_scale")


def _plan(p: Outage) -> tuple[Step, ...]:
    reset = p.first
    refuse = reset + RESET + p.quiet / 2
    stall = refuse + p.refused + p.quiet / 2
    kill = stall + p.stalled + p.quiet
    return (
        _strike(p, "reset_peer", reset, RESET, {"timeout": 0}),
        _strike(p, "down", refuse, p.refused, {}),
        _strike(p, "timeout", stall, p.stalled, {"timeout": 0}),
        _strike(p, "kill", kill, p.killed, {}),
    )


def _strike(p: Outage, kind: str, at: float, lease: float, attributes: dict[str, int]) -> Step:
    return Step(kind, "postgres", p.scaled(at), p.scaled(lease), attributes, on=WELCOME, nth=p.users // 2)


def _checks(p: Outage) -> tuple[Check, ...]:
    return (
        acknowledged_writes(proves=("IC-C1.1",)),
        deadlines.nothing_held(p.scaled(SLACK), proves=("IC-C1.2",)),
        deadlines.pool_recovers(p.scaled(RECOVERY), enough=ENOUGH, proves=("IC-C1.2",)),
        recovery.recovers(p.scaled(RECOVERY), after="kill", f="send", enough=ENOUGH, proves=("GP-DEPS.4", "IC-C1.1")),
        events.legal_events(proves=()),
        states.legal_transitions(proves=()),
        exactly_once_in_order(),
        isolation.isolated(proves=()),
        slo.load_applied(),
        residue.no_residue(),
    )


def _controls(_: Outage) -> tuple[Control, ...]:
    return (
        Control("acknowledged-before-commit", "Messages are acknowledged and then lost with the database.",
                ("acknowledged_writes",), defect="acknowledged_before_commit", at_most={"users": 8}),
        Control("no-timeouts", "Requests hang for as long as the database stalls.",
                ("nothing_held",), without=("timeout", "deadline")),
        Control("dead-connections-kept", "The database is back, but the platform is not: it needs a restart.",
                ("recovers",), defect="dead_connections_kept"),
        Control("connections-leaked", "Calls that timed out keep their connections: after the stall none is left.",
                ("pool_recovers",), defect="connections_leaked"),
    )  # fmt: skip


SCENARIO = Scenario(
    name="chaos/database-lost",
    title="The database is lost and comes back",
    question="When Postgres is cut off, refuses, stalls or is killed under load, what do users lose?",
    hypothesis=(
        "Nothing that was acknowledged is lost, no request is held past its deadline, and the platform is back by "
        "itself as soon as the database is."
    ),
    consequence="An outage of the database costs users seconds of waiting and a clear error, never a message.",
    parameters=Outage,
    profile=lambda p: Profile(
        messages=(p.messages, p.messages),
        think_s=7.0,
        waits=False,
        data=(0.2, 0.3, 0.5),
        drop=0.0,
        probe=0.0,
        signup=0.0,
        logout=0.0,
        history=0.6,
    ),
    plan=_plan,
    checks=_checks,
    controls=_controls,
    smoke=("acknowledged-before-commit",),
    runbook=(
        "See what is failing: GET /health on any worker names the dependency, its breaker and since when.",
        "Cut off or refused: check the network and max_connections; the pool reconnects by itself, restart nothing.",
        "Stalled: look for locks (pg_stat_activity, wait_event); requests end at their deadline with 503.",
        "Killed: start Postgres again; it replays its log, and the workers reconnect within their breaker's pause.",
        "Afterwards: compare acknowledged messages with the messages table, as this scenario's ledger check does.",
    ),
    not_proven=(
        "Loss of the machine or its disk: the server's process dies here, its storage does not.",
        "Promotion of a replica.",
    ),
    lasts=lambda p: max(step.at + (step.lease or 0.0) for step in _plan(p)) + p.scaled(AFTERWARDS),
    exclusive=True,
)
