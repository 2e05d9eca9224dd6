"""A plan refuses what means nothing, by name, and survives JSON."""

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.faults import kinds
from netra_sim.faults.plan import Plan, Step
from netra_sim.faults.process import BLOWS, PROCESS_KINDS
from netra_sim.kernel.errors import BadValue, UnknownName, UsageError

GOOD = {"kind": "latency", "target": "postgres", "at": 1.0}


@pytest.mark.parametrize(
    ("bad", "field", "allowed"),
    [
        ({"target": ""}, "target", "an edge"),
        ({"target": 5}, "target", "an edge"),
        ({"kind": "read_only"}, "target", "redis, for read_only"),
        ({"at": -1}, "at", "0 or more"),
        ({"at": math.nan}, "at", "seconds"),
        ({"at": "soon"}, "at", "seconds"),
        ({"at": True}, "at", "seconds"),
        ({"lease": -0.1}, "lease", "0 or more"),
        ({"lease": math.inf}, "lease", "or nothing"),
        ({"lease": "long"}, "lease", "or nothing"),
        ({"stream": "sideways"}, "stream", "upstream or downstream"),
        ({"stream": None}, "stream", "upstream or downstream"),
        ({"stream": "sideways"}, "stream", "or both"),
        ({"on": ""}, "on", "an event type"),
        ({"on": 5}, "on", "or nothing"),
        ({"on": "hello", "nth": 0}, "nth", "1 or more"),
        ({"on": "hello", "nth": True}, "nth", "1 or more"),
        ({"nth": 2}, "nth", "for a step with `on`"),
        ({"on": {}}, "on", '"f"'),
        ({"on": {"f": ""}}, "on.f", "an operation"),
        ({"on": {"f": "chat", "phase": "planned"}}, "on.phase", "invoke, ok, fail"),
        ({"on": {"f": "chat", "phase": ["ok"]}}, "on.phase", "invoke, ok, fail"),
        ({"on": {"f": "chat", "actor": 1}}, "on.actor", "user-1"),
        ({"on": {"f": "chat", "value": "x"}}, "on.value", "an object"),
        ({"on": {"f": "chat"}, "nth": 0}, "nth", "1 or more"),
        ({"kind": "kill", "target": "proxy"}, "target", "a service or a worker"),
        ({"kind": "limit_files", "attributes": {"more": -1}}, "attributes.more", "0 or more"),
        ({"kind": "limit_files", "attributes": {"more": True}}, "attributes.more", "an integer"),
        ({"kind": "limit_memory", "attributes": {"more": 1.5}}, "attributes.more", "an integer"),
        ({"kind": "clock_offset", "attributes": {"seconds": 5}}, "target", "worker"),
        ({"kind": "clock_offset", "target": "worker"}, "attributes.seconds", "not 0"),
        ({"kind": "clock_offset", "target": "worker", "attributes": {"seconds": "5"}}, "attributes.seconds", "seconds"),
        (
            {"kind": "clock_offset", "target": "worker", "attributes": {"seconds": 1e300}},
            "attributes.seconds",
            "century",
        ),
        ({"kind": "cut", "attributes": {"match": {"nth": 0}}}, "match.nth", "1"),
        ({"toxicity": 1.1}, "toxicity", "0 to 1"),
        ({"toxicity": -0.1}, "toxicity", "0 to 1"),
        ({"toxicity": "half"}, "toxicity", "0 to 1"),
        ({"heal": "no"}, "heal", "true or false"),
        ({"attributes": [1]}, "attributes", "an object"),
        ({"attributes": None}, "attributes", "an object"),
        ({"label": 5}, "label", "a name"),
        ({"script": "down"}, "script", "a list"),
        ({"script": [{"match": {}}]}, "script", "a list"),
        ({"script": [{"do": {"status": 500}}]}, "script", "nothing for latency"),
        ({"kind": "script"}, "target", "llm"),
        ({"kind": "script", "target": "llm"}, "script", "at least one"),
        ({"attributes": {"latency": 0.5}}, "attributes.latency", "an integer"),
    ],
)
def test_a_bad_value_is_refused_with_its_field_and_what_it_takes(bad: dict[str, Any], field: str, allowed: str) -> None:
    with pytest.raises(BadValue) as told:
        Step(**{**GOOD, **bad})
    assert told.value.facts["field"] == field
    assert allowed in str(told.value)
    with pytest.raises(BadValue) as told:
        Plan.from_json(json.dumps({"steps": [GOOD, {**GOOD, **bad}]}))
    assert told.value.facts["field"] == f"steps[1].{field}"


@pytest.mark.parametrize(
    ("bad", "name", "known"),
    [
        ({"kind": "gremlin"}, "gremlin", [*kinds.KINDS, *PROCESS_KINDS]),
        ({"attributes": {"latencyy": 5}}, "latencyy", ["latency", "jitter"]),
        ({"kind": "kill", "attributes": {"signal": 9}}, "signal", ["none"]),
        ({"kind": "limit_files", "attributes": {"files": 9}}, "files", ["more"]),
        ({"on": {"f": "chat", "fase": "ok"}}, "fase", ["phase", "actor", "value"]),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(bad: dict[str, Any], name: str, known: list[str]) -> None:
    with pytest.raises(UnknownName) as told:
        Step(**{**GOOD, **bad})
    assert told.value.facts["name"] == name
    assert all(word in str(told.value) for word in known)
    with pytest.raises(UnknownName, match=r"\(steps\[1\]\)"):
        Plan.from_json(json.dumps({"steps": [GOOD, {**GOOD, **bad}]}))


@pytest.mark.parametrize("missing", ["kind", "target", "at"])
def test_a_step_needs_its_fields(missing: str) -> None:
    step = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(BadValue, match=rf"steps\[0\]\.{missing}"):
        Plan.from_json(json.dumps({"steps": [step]}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "plan"),
        ("[]", "steps"),
        ('{"seed": 1}', "steps"),
        ('{"steps": {}}', "steps"),
        ('{"steps": [1]}', r"steps\[0\]"),
        ('{"steps": [], "seed": "x"}', "seed"),
        ('{"steps": [], "seed": null}', "seed"),
        ('{"steps": [], "sede": 1}', "sede"),
        ('{"steps": [{"kind": "down", "target": "redis", "at": 1, "until": 3}]}', "until"),
    ],
)
def test_json_that_is_no_plan_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Plan.from_json(text)


SECONDS = st.floats(0, 1e6, allow_nan=False)
RECORD = st.fixed_dictionaries(
    {"f": st.sampled_from(["chat", "kill"])},
    optional={
        "phase": st.sampled_from(["ok", "fired", None]),
        "actor": st.sampled_from(["user-1", None]),
        "value": st.dictionaries(st.text(), st.none() | st.text() | st.integers()),
    },
)
STEPS = st.one_of(
    st.builds(
        Step,
        kind=st.just("latency"),
        target=st.sampled_from(["postgres", "redis", "llm", "edge"]),
        at=SECONDS,
        lease=st.none() | SECONDS,
        attributes=st.fixed_dictionaries({}, optional={"latency": st.integers(0, 9999), "jitter": st.integers(0, 99)}),
        stream=st.sampled_from(["upstream", "downstream", "both"]),
        toxicity=st.floats(0, 1),
        heal=st.booleans(),
        on=st.none() | st.sampled_from(["agent_started", "tool_executing"]),
    ),
    st.builds(Step, kind=st.sampled_from(BLOWS), target=st.text(min_size=1).filter(lambda t: t != "proxy"), at=SECONDS),
    st.builds(
        Step,
        kind=st.sampled_from(("limit_files", "limit_memory")),
        target=st.sampled_from(["worker", "worker-2", "llm"]),
        at=SECONDS,
        attributes=st.fixed_dictionaries({}, optional={"more": st.integers(0, 999)}),
        on=RECORD,
        nth=st.integers(1, 99),
    ),
    st.builds(
        Step,
        kind=st.just("script"),
        target=st.just("llm"),
        at=SECONDS,
        script=st.lists(st.fixed_dictionaries({"do": st.just({"status": 503})}), min_size=1, max_size=3),
        label=st.text(),
    ),
)


@given(st.lists(STEPS, max_size=5), st.integers())
def test_a_plan_survives_json(steps: list[Step], seed: int) -> None:
    plan = Plan(steps, seed)
    assert Plan.from_json(plan.to_json()) == plan


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KIND = st.sampled_from([*kinds.KINDS, *PROCESS_KINDS, "script"])


@given(KIND, st.dictionaries(st.sampled_from([field.name for field in fields(Step)]), JSON, max_size=3))
def test_whatever_a_file_holds_it_is_a_plan_or_refused_by_name(kind: str, given: dict[str, Any]) -> None:
    try:
        plan = Plan.from_json(json.dumps({"steps": [{**GOOD, "kind": kind, **given}]}))
    except (BadValue, UnknownName) as error:
        assert str(error)
    else:
        assert Plan.from_json(plan.to_json()) == plan


def test_a_plan_is_stored_and_comes_back_and_a_bad_file_is_told(tmp_path: Path) -> None:
    plan = Plan([Step("limit_memory", "worker", 1, 2, {"more": 64}, on={"f": "chat", "phase": "ok"}, nth=3)], 7)
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    for path, content in (
        (tmp_path / "none.json", None),
        (tmp_path / "bytes.json", b"\xff"),
        (tmp_path / "deep", DEEP),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(BadValue, match="plan"):
            Plan.load(path)


DEEP = b"[" * 100_000


def test_which_steps_strike_processes() -> None:
    for kind in PROCESS_KINDS:
        clock = kind == "clock_offset"
        step = Step(kind, "worker-1" if clock else "redis", 0, attributes={"seconds": -90} if clock else {})
        assert step.on_process
    assert not any(Step(kind, "x", 0).on_process for kind in kinds.KINDS)
