import asyncio
from dataclasses import replace

import pytest

from netra_sim.faults.plan import Step
from netra_sim.kernel.clock import ManualClock
from netra_sim.kernel.errors import BadValue, FaultError, NotOurs, UnknownName
from netra_sim.kernel.history import HistoryWriter
from netra_sim.lab import limits
from netra_sim.lab.lab import Lab
from netra_sim.scenarios import provenance, registry, runner
from netra_sim.scenarios.scenario import Control


async def test_faults_are_told_in_seconds_since_the_start():
    clock = ManualClock(5_000_000_000)
    writer = HistoryWriter(clock)
    fault = writer.fault(None, "down", "planned", target="postgres")
    await clock.advance(1.5)
    writer.fault(fault, "down", "fired", target="postgres", hits=3)
    assert runner.faults(writer.freeze()) == [
        {"kind": "down", "target": "postgres", "planned": 0.0, "fired": 1.5, "healed": None, "hits": 3}
    ]


async def test_a_fault_that_waits_for_an_event_was_planned_from_then_on():
    clock = ManualClock()
    writer = HistoryWriter(clock)
    for nth in (2, 3):
        writer.fault(None, "down", "planned", target="postgres", at=0.5, on="hello", nth=nth)
    for _ in range(2):
        await clock.advance(1.0)
        writer.seen("user-1", "frame", type="hello")
        writer.seen("user-1", "frame", type="other")
    assert [fault["planned"] for fault in runner.faults(writer.freeze())] == [2.5, None]


async def test_a_fault_that_waits_for_a_record_was_planned_from_then_on():
    clock = ManualClock()
    writer = HistoryWriter(clock)
    writer.fault(None, "kill", "planned", target="worker-1", at=0.5, on={"f": "chat", "phase": "ok"}, nth=2)
    for actor in ("user-1", "user-2"):
        await clock.advance(1.0)
        writer.complete(writer.invoke(actor, "chat"), actor, "chat", "ok")
    assert [fault["planned"] for fault in runner.faults(writer.freeze())] == [2.5]


def test_the_command_to_run_it_again_names_what_was_changed_only():
    scenario = registry.find("golden/chat")
    usual = provenance.command(scenario, scenario.parameters())
    assert usual == "nox -s scenarios -- --only golden/chat --seed 7"
    changed = scenario.parameters.checked({"users": 30, "seed": 3, "time_scale": 1})
    command = provenance.command(scenario, changed)
    assert command == "nox -s scenarios -- --only golden/chat --seed 3 --scale 1 --set users=30"


def scripted(*rules):
    plan = (Step("script", "llm", 0.0, 1.0, script=rules),)
    return replace(registry.find("golden/chat"), plan=lambda _: plan)


def test_a_script_for_a_model_that_is_not_ours_is_refused():
    scenario = scripted({"do": {"status": 503}})
    runner.refuse_what_is_not_ours(Lab(settings={}), scenario, scenario.parameters())
    with pytest.raises(NotOurs, match="NETRA_LLM"):
        remote = Lab(settings={"NETRA_LLM": "http://127.0.0.1:9/v1"})
        runner.refuse_what_is_not_ours(remote, scenario, scenario.parameters())


async def test_what_ends_a_control_is_told_as_it_is_and_ends_the_others():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def lost() -> None:
        await begun.wait()
        raise FaultError(detail="The fault proxy has gone.")

    async def other() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(FaultError, match="has gone"):
        await asyncio.wait_for(runner._all([lost(), other()]), 1)
    assert ended.is_set()


def planned(*steps, controls=lambda _: ()):
    return replace(registry.find("golden/chat"), plan=lambda _: steps, controls=controls, smoke=("c",))


@pytest.mark.parametrize(
    ("step", "known"),
    [
        (Step("kill", "mysql", 0.0), "postgres, redis, clickhouse, llm, worker-1, worker-2, worker"),
        (Step("pause", "worker-3", 0.0), "worker-1, worker-2"),
        (Step("latency", "edge-2", 0.0), "postgres, redis, clickhouse, llm, edge"),
    ],
)
def test_a_target_that_is_not_there_is_refused_with_those_that_are(step: Step, known: str):
    for scenario in (planned(step), planned(controls=lambda _: (Control("c", "why", (), steps=(step,)),))):
        with pytest.raises(UnknownName, match=step.target) as told:
            runner.refuse_what_is_not_ours(Lab(settings={}), scenario, scenario.parameters())
        assert known in told.value.facts["known"]


@pytest.mark.parametrize(("target", "speaks"), [("redis", "redis"), ("llm", "http"), ("edge", "http")])
def test_a_fault_on_messages_that_its_edge_does_not_speak_is_refused(target: str, speaks: str):
    scenario = planned(Step("pg_error", target, 0.0))
    with pytest.raises(BadValue, match=f"speaks postgres; this one speaks {speaks}"):
        runner.refuse_what_is_not_ours(Lab(settings={}), scenario, scenario.parameters())
    fits = planned(Step("pg_error", "postgres", 0.0), Step("cut", target, 0.0))
    runner.refuse_what_is_not_ours(Lab(settings={}), fits, fits.parameters())


@pytest.mark.parametrize("kind", ["kill", "limit_files"])
def test_a_process_that_is_not_ours_is_refused(kind: str):
    scenario, remote = planned(Step(kind, "llm", 0.0)), Lab(settings={"NETRA_LLM": "http://127.0.0.1:9/v1"})
    with pytest.raises(NotOurs, match="NETRA_LLM"):
        runner.refuse_what_is_not_ours(remote, scenario, scenario.parameters())


@pytest.mark.parametrize("target", ["clickhouse", "worker", "worker-2", "redis"])
def test_a_limit_is_refused_where_the_system_has_none(target: str, monkeypatch: pytest.MonkeyPatch):
    scenario = planned(Step("limit_memory", target, 0.0))
    runner.refuse_what_is_not_ours(Lab(settings={}), scenario, scenario.parameters())
    monkeypatch.setattr(limits, "KINDS", {})
    with pytest.raises(BadValue, match="only Linux"):
        runner.refuse_what_is_not_ours(Lab(settings={}), scenario, scenario.parameters())


def test_a_wrong_script_is_refused_by_its_field():
    scenario = scripted({"do": {"status": 200}})
    with pytest.raises(BadValue, match=r"script\[0\].do.status"):
        runner.refuse_what_is_not_ours(Lab(settings={}), scenario, scenario.parameters())
