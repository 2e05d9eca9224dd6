"""chaos/llm-trouble: the language model fails, refuses, babbles, hangs, stalls and is gone, under load."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from netra_sim.checks import events, isolation, model, residue, slo, states
from netra_sim.checks.verdict import Check
from netra_sim.faults.plan import Step
from netra_sim.scenarios.scenario import WELCOME, Control, Parameters, Scenario
from netra_sim.users.persona import Profile

PRIMARY = "netra-large"
MARK = "(incomplete"  # what marks a text that broke off, for the user
# All in seconds before scaling; limits are those of the reference.
SILENT = 600.0  # longer than any deadline
IDLE, BACK, RUN_LIMIT, RETRY_AFTER = 5.0, 10.0, 30.0, 2.0
SLACK = 3.0  # for a machine that is busy when a time-out is due
# By label: when it begins, after half of the users are in, and how long it lasts. What follows a phase of long waits
# must not take answers away, so there is quiet after it: a run of the mix that met two time-outs takes 35 s.
PHASES = {
    "garbled": (6.0, 9.0),
    "hung model": (18.0, 34.0),
    "mix": (72.0, 22.0),
    "rate limit": (98.0, 5.0),
    "triple mix": (129.0, 13.0),
    "stall": (175.0, 17.0),
    "outage": (193.0, 13.0),
}
LASTS = 216.0
ENOUGH, FEW, LEAST, SHARE = 16, 6, 3, 0.95  # runs that a share, a phase, and one of long waits must be judged by


class Trouble(Parameters):
    """The phases follow each other at times that scale; what can be chosen is the load."""

    users: int = Field(12, ge=2, le=5000, description="simulated users")
    messages: int = Field(40, ge=1, le=1000, description="messages of each user, at the most")
    window: float = Field(0.5, ge=0, le=600, description="seconds in which the users arrive")


def _rules(p: Trouble) -> dict[str, tuple[dict[str, Any], ...]]:
    of_primary = {"model": PRIMARY}
    of_report = {"agent": "reporting"}
    reported = {**of_primary, **of_report}
    return {
        "mix": _mix(p, 1),
        "triple mix": _mix(p, 3),
        "rate limit": ({"match": of_primary, "do": {"status": 429, "retry_after": p.scaled(RETRY_AFTER)}},),
        # The first two are one of each kind, whatever chance does: few answers are spoilt where nobody asks again.
        "garbled": (
            {"match": {**reported, "nth": 1}, "do": {"malformed": True}},
            {"match": {**reported, "nth": 2}, "do": {"wrong_schema": True}},
            {"match": {**reported, "probability": 0.5}, "do": {"malformed": True}},
            {"match": reported, "do": {"wrong_schema": True}},
        ),
        "hung model": ({"match": of_primary, "do": {"delay_s": p.scaled(SILENT)}},),
        "stall": ({"match": of_report, "do": {"stall_after_tokens": 20}},),
        "outage": ({"match": {"probability": 0.5}, "do": {"status": 503}}, {"do": {"reset": True}}),
    }


def _mix(p: Trouble, times: int) -> tuple[dict[str, Any], ...]:
    """10 % time-outs, 7 % rate limits, 5 % errors, 3 % network, `times` over.

    A rule is asked only for what those before it have left, so its chance is a share of that.
    """
    faults = (
        (0.10, {"delay_s": p.scaled(SILENT)}),
        (0.07, {"status": 429, "retry_after": p.scaled(1.0)}),
        (0.05, {"status": 500}),
        (0.03, {"reset": True}),
    )
    rules, left = [], 1.0
    for share, do in faults:
        rules.append({"match": {"probability": times * share / left}, "do": do})
        left -= times * share
    return tuple(rules)


def _plan(p: Trouble) -> tuple[Step, ...]:
    rules, half = _rules(p), p.users // 2
    return tuple(
        Step("script", "llm", p.scaled(at), p.scaled(lease), script=rules[label], label=label, on=WELCOME, nth=half)
        for label, (at, lease) in PHASES.items()
    )


def _checks(p: Trouble) -> tuple[Check, ...]:
    degraded = ("IC-C3.3",)
    return (
        model.full_answers("mix", SHARE, ENOUGH, proves=("GP-AGENT.9",)),
        model.full_or_partial("triple mix", SHARE, FEW, proves=("GP-AGENT.9",)),
        model.full_again("triple mix", p.scaled(BACK), SHARE, FEW, proves=("GP-AGENT.9",)),
        model.retry_after_honoured(proves=("GP-AGENT.11", *degraded)),
        model.never_raw(proves=("GP-AGENT.14", *degraded)),
        model.answered_by("hung model", "fallback", SHARE, LEAST, proves=("GP-AGENT.12", *degraded)),
        model.stall_detected("stall", p.scaled(IDLE + SLACK), proves=("GP-AGENT.13", *degraded)),
        model.partial_text_kept(MARK, proves=("GP-AGENT.13", *degraded)),
        model.told_in_outage("outage", p.scaled(RUN_LIMIT), FEW, proves=("GP-AGENT.10", "GP-AGENT.12", *degraded)),
        model.no_storm("outage", 1.2, FEW, proves=("GP-AGENT.11",)),
        events.legal_events(proves=()),
        states.legal_transitions(proves=()),
        isolation.isolated(proves=()),
        slo.load_applied(),
        residue.no_residue(),
    )


def _controls(_: Trouble) -> tuple[Control, ...]:
    return (
        Control("no-second-try", "A call that fails is made again by nobody: with one in four failing, most answers "
                "lack a part.", ("full_answers",), without=("retry", "fallback")),
        Control("no-fallback", "Neither another model nor a rule stands in: runs fail without an answer.",
                ("answered_by", "told_in_outage"), without=("fallback",), at_most={"users": 10}),
        Control("no-breaker", "A model that is gone is called again and again by every run.",
                ("no_storm",), without=("breaker", "budget"), at_most={"users": 8}),
        Control("no-timeouts", "Runs wait for as long as a stream is silent.",
                ("full_or_partial", "stall_detected"), without=("timeout",), at_most={"users": 10}),
        Control("naive-client", "Retry-After is ignored, broken-off text is lost, and users are shown broken JSON.",
                ("retry_after_honoured", "partial_text_kept", "never_raw"), defect="naive_model_client",
                at_most={"users": 10}),
        Control("given-up", "After its first failure the model is never asked again: quality does not come back.",
                ("full_again",), defect="model_given_up", at_most={"users": 10}),
    )  # fmt: skip


SCENARIO = Scenario(
    name="chaos/llm-trouble",
    title="The language model is in trouble",
    question="When the language model fails, refuses, babbles, hangs, stalls or is gone, what answer do users get?",
    hypothesis=(
        "Nearly all get the whole answer while one call in four fails; when no model answers, everyone gets what the "
        "figures say, is told what is missing, and waits no longer than the limit; then quality returns by itself."
    ),
    consequence="A language model in trouble costs users some seconds and some wording, never an answer.",
    parameters=Trouble,
    profile=lambda p: Profile(
        messages=(p.messages, p.messages),
        think_s=11.0,
        waits=False,
        data=(0.3, 0.0, 0.7),
        drop=0.0,
        probe=0.0,
        signup=0.0,
        logout=0.0,
        history=0.0,
    ),
    plan=_plan,
    checks=_checks,
    controls=_controls,
    smoke=("no-fallback",),
    runbook=(
        "See which model fails: GET /health/state names the breakers llm and llm_fallback; the log tells since when.",
        "Rate limited: the platform waits as long as the provider asks; raise the quota, or send less.",
        "Hung or stalled: restart nothing; after 15 s without a first token, or 5 s without the next, a call ends.",
        "Both models gone: users get partial answers by rule, which say so; check the provider's status and the key.",
        "Afterwards: answers are full again within 10 s; if not, look at the breakers' pause, which grows to 30 s.",
    ),
    not_proven=(
        "Delivery to the last event: users are sent home in the midst of a run (golden/chat judges it).",
        "A mix of failures that lasts for more than half a minute: the breakers then open for up to 30 s at a time, "
        "and more answers are partial.",
        "The quality of the fallback model's wording: the lab's model writes both.",
        "Several runs that wait for one rate limit wait each for itself; they do not share what they were told.",
    ),
    lasts=lambda p: p.scaled(LASTS),
)
