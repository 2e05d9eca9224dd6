"""chaos/cache-lost: Redis is killed, slow, cut off, read-only and out of memory, one after the other, under load."""

from __future__ import annotations

from pydantic import Field

from netra_sim.checks import deadlines, events, isolation, outage, residue, slo, workers
from netra_sim.checks.delivery import exactly_once_in_order
from netra_sim.checks.verdict import Check
from netra_sim.faults.plan import Step
from netra_sim.scenarios.scenario import WELCOME, Control, Parameters, Scenario
from netra_sim.users.persona import Profile

REDIS = "redis"
TIMEOUT_MS = 250.0  # of an attempt at Redis, before scaling (reference, section 7)
# Limits in seconds before scaling (reference, sections 7 and 8; detection and restoration: GP-ERR.1).
LIMITS = {"connect": 3.0, "history": 5.0, "send": 5.0, "chat": 30.0}
# Sessions may take 5 s to be synchronised; NOTIFY must beat the look at the database every 2 s that stands behind it.
SYNCHRONISED, DETECTED, RESTORED, SLACK, AFTERWARDS = 2.0, 5.0, 10.0, 2.0, 8.0


class Outages(Parameters):
    """Five outages of the same length one after the other, each with some quiet after it."""

    # At 0.1 an attempt at Redis would end after 25 ms, which a busy machine can take to wake a process.
    time_scale: float = Field(0.2, gt=0, le=1, description="factor of every timeout, pause, think time and LLM latency")
    users: int = Field(12, ge=2, le=5000, description="simulated users")
    messages: int = Field(16, ge=1, le=1000, description="messages of each user")
    window: float = Field(0.3, ge=0, le=600, description="seconds in which the users arrive")
    first: float = Field(
        8.0, ge=0, le=600, description="seconds from when half the users are in to the first outage, before time_scale"
    )
    out: float = Field(6.0, gt=0, le=600, description="seconds that each outage lasts, before time_scale")
    # Shorter than a breaker may take to be closed again (RESTORED), and the next outage would hide that it does.
    quiet: float = Field(10.0, ge=1, le=600, description="seconds of quiet after each outage, before time_scale")


def _plan(p: Outages) -> tuple[Step, ...]:
    slow = round(2 * p.scaled(TIMEOUT_MS))
    kinds: tuple[tuple[str, dict[str, int]], ...] = (
        ("kill", {}), ("latency", {"latency": slow}), ("timeout", {"timeout": 0}), ("read_only", {}),
        ("out_of_memory", {}),
    )  # fmt: skip
    first, out, each = p.scaled(p.first), p.scaled(p.out), p.scaled(p.out + p.quiet)
    return tuple(
        Step(kind, REDIS, first + n * each, out, told, on=WELCOME, nth=p.users // 2)
        for n, (kind, told) in enumerate(kinds)
    )


def _checks(p: Outages) -> tuple[Check, ...]:
    limits = {f: p.scaled(limit) for f, limit in LIMITS.items()}
    return (
        outage.answered_without(REDIS, limits, proves=("IC-C2.1", "GP-ERR.1", "GP-DEPS.1")),
        outage.slowdown(("history", "send"), REDIS, proves=("GP-ERR.1",)),
        outage.detected(REDIS, p.scaled(DETECTED), proves=("GP-ERR.1",)),
        outage.restored(REDIS, p.scaled(RESTORED), proves=("GP-ERR.1", "GP-DEPS.1")),
        workers.crosses_workers(p.scaled(SYNCHRONISED), REDIS, proves=("GP-DEPS.1",)),
        deadlines.nothing_held(p.scaled(SLACK)),
        events.legal_events(proves=()),
        exactly_once_in_order(),
        isolation.isolated(proves=()),
        slo.load_applied(),
        residue.no_residue(),
    )


def _controls(_: Outages) -> tuple[Control, ...]:
    return (
        Control("cache-required", "What the cache does not answer is not looked up: without Redis requests fail.",
                ("answered_without",), defect="cache_required", at_most={"users": 6, "messages": 6}),
        Control("no-breaker", "Every request waits for Redis to time out, again and again, and nobody notices why.",
                ("slowdown", "detected"), without=("breaker",)),
        Control("redis-given-up", "A worker that lost Redis once works without it until somebody restarts it.",
                ("restored",), defect="redis_given_up"),
        Control("redis-only-fanout", "Users whose run is on another worker see it stand still until Redis is back.",
                ("crosses_workers",), defect="redis_only_fanout"),
    )  # fmt: skip


SCENARIO = Scenario(
    name="chaos/cache-lost",
    title="The cache is lost and comes back",
    question="When Redis is killed, slow, cut off, read-only or out of memory under load, what do users notice?",
    hypothesis=(
        "Nothing fails: sessions are checked and events handed on through Postgres, hardly slower, and Redis is used "
        "again by itself as soon as it is back."
    ),
    consequence="An outage of the cache costs users some milliseconds, and the team a line in the log, not a night.",
    parameters=Outages,
    profile=lambda p: Profile(
        messages=(p.messages, p.messages),
        think_s=3.5,
        waits=False,
        data=(0.2, 0.3, 0.5),
        drop=0.3,
        drop_within_s=2.0,
        probe=0.0,
        signup=0.0,
        logout=0.0,
        history=1.0,
    ),
    plan=_plan,
    checks=_checks,
    controls=_controls,
    smoke=("cache-required",),
    runbook=(
        "See what the workers think: GET /health/state on each tells its level and the breaker of Redis.",
        "Killed or cut off: start Redis or mend the network; the workers come back by themselves, restart nothing.",
        "Slow: look for long commands (SLOWLOG GET) and at its processor; until then the workers do without it.",
        "Read-only: it has become a replica (INFO replication); point the workers at the primary, or REPLICAOF NO ONE.",
        "Out of memory: raise maxmemory, or find what grew (redis-cli --bigkeys); every key here has an end.",
    ),
    not_proven=(
        "Failing over to another Redis: there is one server here, which comes back itself.",
        "Loss of what Redis alone holds: nothing is; counters of sent messages begin again.",
    ),
    lasts=lambda p: max(step.at + (step.lease or 0.0) for step in _plan(p)) + p.scaled(p.quiet + AFTERWARDS),
    exclusive=True,
)
