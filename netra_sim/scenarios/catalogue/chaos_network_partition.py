"""chaos/network-partition: half of the users lose the network in every way it can be lost, and come back."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from netra_sim.checks import events, heartbeat, isolation, ledger, partition, reconnect, residue, slo
from netra_sim.checks.delivery import exactly_once_in_order
from netra_sim.checks.verdict import Check
from netra_sim.faults.plan import Step
from netra_sim.scenarios.scenario import Control, Parameters, Scenario
from netra_sim.users.persona import Profile

SLOW_MS = 1500  # before scaling: tools and model answer so late that each stage lasts long enough to be struck
SIGN_IN = 15.0  # seconds before scaling until the first fault: by then all users are there and most have asked
MARGIN = 2.0  # seconds before scaling by which the black hole outlasts what must have been noticed
NEVER = 3600.0
STAGE = "tool_executing"
CUT = ("partition", "down")  # what strikes everybody


class Partitions(Parameters):
    """All users lose the network in mid-run, then half of them fall silent, then nobody is let in for a while."""

    users: int = Field(12, ge=4, le=5000, description="simulated users, half of them at each entrance")
    messages: int = Field(8, ge=1, le=1000, description="messages of each user")
    window: float = Field(0.3, ge=0, le=600, description="seconds in which the users arrive")
    heartbeat: float = Field(5.0, gt=0, le=600, description="seconds between heartbeats, before time_scale")
    slack: float = Field(0.3, gt=0, le=60, description="seconds allowed beyond two missed heartbeats")
    quiet: float = Field(12.0, ge=1, le=600, description="seconds of quiet between the faults, before time_scale")
    away: float = Field(12.0, gt=0, le=600, description="seconds in which nobody is let in, before time_scale")

    @property
    def dead(self) -> float:
        """Seconds after which a silent peer must have been given up."""
        return self.scaled(2 * self.heartbeat) + self.slack


def _plan(p: Partitions) -> tuple[Step, ...]:
    """Times count from the first tool that a run calls, when some users may still sign in."""
    slow = {"latency": round(p.scaled(SLOW_MS))}
    first = p.scaled(SIGN_IN)
    hole = first + p.dead + p.scaled(p.quiet)
    silence = p.dead + p.scaled(MARGIN)
    return (
        Step("latency", "clickhouse", 0.0, None, slow),
        Step("latency", "llm", 0.0, None, slow),
        *_both("partition", first, p.dead),
        Step("black_hole", "edge", hole, silence, {}, stream="both", on=STAGE),
        *_both("down", hole + silence + p.scaled(p.quiet), p.scaled(p.away)),
    )


def _both(kind: str, at: float, lease: float) -> tuple[Step, ...]:
    return tuple(Step(kind, edge, at, lease, {}, stream="both", on=STAGE) for edge in ("edge", "edge-2"))


def _checks(p: Partitions) -> tuple[Check, ...]:
    return (
        heartbeat.client_notices(p.dead, proves=("T20-03.1", "GP-WS.7")),
        heartbeat.server_notices(p.dead, proves=("T20-03.1", "GP-WS.7")),
        reconnect.backs_off(proves=("T20-03.2",)),
        reconnect.session_survives(proves=("T20-03.3",)),
        exactly_once_in_order(proves=("T20-03.4",)),
        partition.runs_survive("agent_started", CUT, proves=("GP-WS.8",)),
        partition.runs_survive("tool_executing", CUT, proves=("GP-WS.9",)),
        partition.others_untouched("black_hole", proves=("GP-WS.10",)),
        events.legal_events(proves=()),
        ledger.acknowledged_writes(),
        isolation.isolated(proves=()),
        slo.success_rate("chat", 0.95),
        slo.load_applied(),
        residue.no_residue(),
    )


def _controls(p: Partitions) -> tuple[Control, ...]:
    hole = next(step for step in _plan(p) if step.kind == "black_hole")
    return (
        Control("client-without-heartbeat", "The page waits for ever on a connection that is dead.",
                ("client_notices_dead_server",), client={"heartbeat_s": NEVER}),
        Control("server-without-heartbeat", "Workers keep sockets of users who have long gone, until memory runs out.",
                ("server_drops_dead_clients",), settings={"NETRA_HEARTBEAT": str(NEVER)}),
        Control("no-backoff", "All clients come back at once, again and again: the platform is kept down by its users.",
                ("reconnects_back_off",), client={"backoff": False}),
        Control("standing-forgotten", "Who comes back is a stranger: the platform knows nothing of his stream.",
                ("session_survives",), defect="standing_forgotten"),
        Control("replay-forgotten", "What happened while a user was cut off is never told to him.",
                ("exactly_once_in_order", "survives_agent_started", "survives_tool_executing"),
                defect="replay_forgotten"),
        Control("both-entrances", "The fault of some users is the fault of all.", ("others_untouched",),
                steps=(replace(hole, target="edge-2"),)),
    )  # fmt: skip


SCENARIO = Scenario(
    name="chaos/network-partition",
    title="The network parts, goes silent and comes back",
    question="When the network between users and platform is lost in mid-run, what do they miss, and who else notices?",
    hypothesis=(
        "Either side notices a silent peer within two heartbeats, clients come back by themselves at growing random "
        "delays and miss nothing, their runs go on meanwhile, and users of another entrance notice nothing."
    ),
    consequence="A tunnel costs a user seconds of waiting, never an answer, and costs nobody else anything.",
    parameters=Partitions,
    profile=lambda p: Profile(
        messages=(p.messages, p.messages),
        think_s=5.0,
        waits=False,
        drop=0.0,
        probe=0.0,
        signup=0.0,
        logout=0.0,
        history=0.8,
        data=(1.0, 0.0, 0.0),
    ),
    plan=_plan,
    checks=_checks,
    controls=_controls,
    smoke=("client-without-heartbeat",),
    runbook=(
        "See who is cut off: the workers' `sockets` (GET /health/state) falls within two heartbeats of a partition.",
        "Restart nothing: runs go on while their users are away, and the stream keeps what they miss.",
        "Users who cannot come back: look at the entrance they use; those of another one are not affected.",
        "When the network is back, clients return within seconds at random times; connects rise, then fall.",
        "Afterwards: compare a user's highest seq with his last_seq in the users table; replay closes any gap.",
    ),
    not_proven=(
        "A silence that outlasts a user's patience of 30 s: what he says into it, he has to ask again.",
        "A partition between workers and stores; chaos/database-lost strikes that side.",
        "Networks that lose or reorder single packets: TCP hides those, and this proxy works above it.",
    ),
    lasts=lambda p: _plan(p)[-1].at + p.messages * p.scaled(100.0),
    at_most={"users": 6},
    entrances=2,
    settings=lambda p: {"NETRA_HEARTBEAT": str(p.heartbeat)},
    client=lambda p: {"heartbeat_s": p.heartbeat},
    full=({"heartbeat": 10.0, "users": 16, "messages": 17},),
)
