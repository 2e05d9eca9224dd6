"""The nemesis with a control and processes in memory: what it does, and what it writes."""

import asyncio
from typing import Any

import pytest

from netra_sim.checks.verdict import Check, Finding, judge
from netra_sim.faults.nemesis import EARLY, Nemesis
from netra_sim.faults.plan import Plan, Step
from netra_sim.faults.residue import residue
from netra_sim.kernel.clock import ManualClock
from netra_sim.kernel.errors import BadValue, FaultError, UnknownName
from netra_sim.kernel.history import HistoryWriter
from tests.unit.faults.stage import Control, Process, Stage


async def test_planned_fired_healed_at_their_times_with_hits() -> None:
    at = Stage(Step("latency", "postgres", 2, 3, {"latency": 50}, stream="upstream", toxicity=0.5))
    await at.until(2)
    toxic = at.control.toxics["run/postgres", "latency-0"]
    assert toxic == {
        "name": "latency-0", "type": "latency", "stream": "upstream", "toxicity": 0.5, "attributes": {"latency": 50},
        "lease_ms": (3 + EARLY) * 1000, "seed": 1, "hits": 0,
    }  # fmt: skip
    toxic["hits"] = 7
    await at.until(5)
    await at.task
    assert at.told == [(0, "latency", "planned"), (2, "latency", "fired"), (5, "latency", "healed")]
    assert at.control.toxics == {}
    (fault,) = at.history.freeze().faults()
    assert (fault.target, fault.hits, fault.value["lease"]) == ("postgres", 7, 3)


async def test_all_are_planned_at_the_start_and_may_overlap() -> None:
    at = Stage(Step("down", "redis", 1, 10), Step("timeout", "redis", 2, 1), Step("timeout", "redis", 2.5, 5))
    await at.until(2.5)
    assert [name for _, name in at.control.toxics] == ["down-0", "timeout-1", "timeout-2"]
    await at.until(20)
    await at.task
    assert [(t, phase) for t, _, phase in at.told] == [
        (0, "planned"), (0, "planned"), (0, "planned"), (1, "fired"), (2, "fired"), (2.5, "fired"),
        (3, "healed"), (7.5, "healed"), (11, "healed"),
    ]  # fmt: skip


async def test_an_empty_plan_ends_at_once() -> None:
    at = Stage()
    await asyncio.wait_for(at.task, 1)
    assert at.told == []


async def test_without_a_lease_it_stays_until_the_run_ends() -> None:
    at = Stage(Step("down", "redis", 1))
    await at.until(10_000)
    assert "lease_ms" not in at.control.toxics["run/redis", "down-0"]
    await at.stop()
    assert at.control.toxics == {}
    assert at.told[-1] == (10_000, "down", "healed")


async def test_cancellation_heals_everything_at_once_and_strikes_no_more() -> None:
    at = Stage(Step("down", "redis", 1, 100), Step("pause", "postgres", 1, 100), Step("kill", "postgres", 50, 1))
    await at.until(2)
    await at.stop()
    assert at.control.toxics == {}
    assert at.process.done == ["pause", "resume"]
    assert [(t, f) for t, f, phase in at.told if phase == "healed"] == [(2, "down"), (2, "pause")]


async def test_cancelled_while_it_strikes_it_heals_nevertheless() -> None:
    """The proxy may have set the toxic although its answer was never heard."""
    at = Stage(Step("down", "redis", 1))
    at.control.answers.clear()
    await at.until(1)
    assert at.control.toxics
    at.task.cancel()
    await at.until(1.5)
    at.control.answers.set()
    await at.stop()
    assert at.control.toxics == {}
    assert [phase for _, _, phase in at.told] == ["planned", "fired", "healed"]


async def test_cancelled_while_it_heals_it_heals_to_the_end() -> None:
    at = Stage(Step("restart", "postgres", 1))
    at.process.starts.clear()
    await at.until(1)
    at.task.cancel()
    await at.until(2)
    assert not at.process.alive
    at.process.starts.set()
    await at.stop()
    assert at.process.alive
    assert at.told[-1] == (2, "restart", "healed")


async def test_heal_false_stays_and_is_residue() -> None:
    at = Stage(
        Step("latency", "redis", 1, 1, heal=False),
        Step("kill", "postgres", 1, 1, heal=False),
        Step("pause", "postgres", 2, 1, heal=False),
    )
    await at.until(5)
    await at.task
    assert not [phase for *_, phase in at.told if phase == "healed"]
    assert "lease_ms" not in at.control.toxics["run/redis", "latency-0"]
    at.control.disabled |= {"run/llm", "other/llm"}
    assert await residue(at.control, "run/", {"postgres": at.process}) == [  # type: ignore[arg-type]
        {"what": "disabled proxy", "edge": "llm"},
        {"what": "toxic", "edge": "redis", "type": "latency", "name": "latency-0"},
        {"what": "dead process", "name": "postgres"},
        {"what": "frozen process", "name": "postgres"},
    ]


async def test_what_was_healed_leaves_no_residue() -> None:
    at = Stage(Step("latency", "redis", 1, 1), Step("kill", "postgres", 1, 1))
    await at.until(3)
    await at.task
    assert await residue(at.control, "run/", {"postgres": at.process}) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "done", "healed"),
    [("kill", ["kill", "restart"], 4), ("pause", ["pause", "resume"], 4), ("restart", ["kill", "restart"], 1)],
)
async def test_process_faults(kind: str, done: list[str], healed: int) -> None:
    at = Stage(Step(kind, "postgres", 1, 3))
    await at.until(5)
    await at.task
    assert at.process.done == done
    assert at.told == [(0, kind, "planned"), (1, kind, "fired"), (healed, kind, "healed")]
    assert at.history.freeze().faults()[0].hits == 1


@pytest.mark.parametrize(
    ("kind", "attributes", "done"),
    [
        ("limit_files", {"more": 3}, ["3 more files", "files as before"]),
        ("limit_memory", {}, ["0 more memory", "memory as before"]),
        ("clock_offset", {"seconds": -90}, ["clock -90", "clock +0"]),
    ],
)
async def test_a_worker_is_limited_or_given_a_wrong_clock_for_a_lease(
    kind: str, attributes: dict[str, Any], done: list[str]
) -> None:
    at = Stage(Step(kind, "worker-1", 1, 3, attributes))
    await at.until(2)
    assert at.worker.done == done[:1]
    await at.until(5)
    await at.task
    assert at.worker.done == done
    assert at.told == [(0, kind, "planned"), (1, kind, "fired"), (4, kind, "healed")]


async def test_a_kill_that_finds_it_dead_has_struck_nothing() -> None:
    at = Stage(Step("kill", "postgres", 1, 5), Step("kill", "postgres", 2, 1))
    await at.until(9)
    await at.task
    assert [fault.hits for fault in at.history.freeze().faults()] == [1, 0]
    verdict = judge(Check("c", "e", (), lambda _: Finding("pass", "All was well.")), at.history.freeze())
    assert (verdict.outcome, "never struck (kill on postgres)" in verdict.observed) == ("unknown", True)


async def test_the_seed_chooses_the_worker_and_the_history_names_it() -> None:
    struck: dict[int, str] = {}
    for seed in range(20):
        workers, history = (
            {"worker-1": Process(), "worker-2": Process(), "redis": Process()},
            HistoryWriter(ManualClock()),
        )
        plan = Plan([Step("kill", "worker", 0, 0)], seed)
        for _ in range(2):
            await Nemesis(plan, Control(), workers, history, prefix="").run()  # type: ignore[arg-type]
        first, second = history.freeze().faults()
        assert first.target == second.target
        struck[seed] = first.target
        assert workers[first.target].done == ["kill", "restart"] * 2
    assert set(struck.values()) == {"worker-1", "worker-2"}


async def test_where_there_are_no_workers_none_is_chosen() -> None:
    with pytest.raises(UnknownName, match="redis"):
        Nemesis(Plan([Step("kill", "worker", 1)]), Control(), {"redis": Process()}, HistoryWriter(ManualClock()), "")  # type: ignore[arg-type]


async def test_a_step_waits_for_the_nth_record_of_its_kind() -> None:
    on = {"f": "chat", "phase": "ok", "actor": "user-1", "value": {"route": "triage"}}
    at = Stage(Step("down", "redis", 0.5, 1, on=on, nth=2))
    await at.until(1)
    chats = [
        ("user-1", "triage", "ok"),
        ("user-1", "triage", "fail"),
        ("user-2", "triage", "ok"),
        ("user-1", "data", "ok"),
    ]
    for actor, route, outcome in chats:
        op = at.history.invoke(actor, "chat")
        at.history.complete(op, actor, "chat", outcome, route=route)  # type: ignore[arg-type]
    await at.until(5)
    assert at.control.toxics == {}
    at.history.complete(at.history.invoke("user-1", "chat"), "user-1", "chat", "ok", route="triage")
    await at.until(9)
    await at.task
    assert [(t, phase) for t, f, phase in at.told if f == "down"] == [(0, "planned"), (5.5, "fired"), (6.5, "healed")]
    told = at.history.freeze().faults()[0].value
    assert (told["on"], told["nth"]) == (on, 2)


async def test_one_fault_may_follow_another() -> None:
    at = Stage(Step("pause", "postgres", 1, 2), Step("down", "redis", 0.5, 1, on={"f": "pause", "phase": "healed"}))
    await at.until(9)
    await at.task
    assert [(t, phase) for t, f, phase in at.told if f == "down"] == [(0, "planned"), (3.5, "fired"), (4.5, "healed")]


async def test_a_record_that_never_comes_leaves_every_verdict_unknown() -> None:
    at = Stage(Step("kill", "worker", 0, 1, on={"f": "chat", "phase": "ok"}, nth=3))
    await at.until(100)
    await at.stop()
    verdict = judge(Check("c", "e", (), lambda _: Finding("pass", "All was well.")), at.history.freeze())
    assert verdict.outcome == "unknown"
    assert "never struck (kill on worker-" in verdict.observed
    assert at.worker.done == []


async def test_a_process_that_is_unknown_is_refused_before_anything_starts() -> None:
    history = HistoryWriter(ManualClock())
    with pytest.raises(UnknownName, match="postgres"):
        Nemesis(Plan([Step("kill", "mysql", 1)]), Control(), {"postgres": Process()}, history, prefix="")  # type: ignore[arg-type]
    assert len(history.freeze().records) == 1


async def test_a_toxic_that_has_expired_at_the_proxy_is_healed_all_the_same() -> None:
    at = Stage(Step("down", "redis", 1, 3))
    await at.until(1)
    at.control.toxics.clear()
    await at.until(4)
    await at.task
    assert at.told[-1] == (4, "down", "healed")


async def test_a_proxy_that_goes_during_a_lease_is_told_at_once() -> None:
    at = Stage(Step("down", "redis", 1, 1000), Step("pause", "postgres", 1, 1000))
    await at.until(2)
    at.control.lost.set()
    with pytest.raises(FaultError):
        await asyncio.wait_for(at.task, 1)
    assert at.process.done == ["pause", "resume"]
    assert [(f, phase) for _, f, phase in at.told if phase == "healed"] == [("pause", "healed")]


async def test_a_proxy_that_refuses_is_a_fault_error_and_the_rest_is_healed() -> None:
    at = Stage(Step("pause", "postgres", 1, 1000), Step("down", "redis", 2, 1))
    await at.until(1)

    async def refuse(proxy: str, toxic: dict[str, Any]) -> dict[str, Any]:
        raise FaultError(detail="proxy not found")

    at.control.add_toxic = refuse  # type: ignore[method-assign]
    await at.until(2)
    with pytest.raises(FaultError, match="proxy not found"):
        await asyncio.wait_for(at.task, 1)
    assert at.process.done == ["pause", "resume"]
    assert ("down", "fired") not in [(f, phase) for _, f, phase in at.told]


class Model:
    """A model server that keeps the rules it was given and counts a hit for each."""

    def __init__(self) -> None:
        self.rules: dict[str, list[Any]] = {}

    async def put(self, name: str, rules: Any) -> int:
        hits = len(self.rules.pop(name, []))
        if rules:
            self.rules[name] = list(rules)
        return hits


async def test_a_script_is_in_force_for_its_lease_and_tells_its_hits() -> None:
    clock, model, rule = ManualClock(), Model(), {"do": {"status": 503}}
    history = HistoryWriter(clock)
    plan = Plan([Step("script", "llm", 1, 2, script=[rule], label="outage")])
    task = asyncio.ensure_future(Nemesis(plan, Control(), {}, history, "run/", model).run())  # type: ignore[arg-type]
    await clock.advance(1)
    assert model.rules == {"script-0": [rule]}
    await clock.advance(2)
    await task
    assert model.rules == {}
    (fault,) = history.freeze().faults()
    assert (fault.kind, fault.hits, fault.value["label"], fault.value["script"]) == ("script", 1, "outage", [rule])


async def test_a_script_without_a_model_server_is_refused_before_anything_starts() -> None:
    plan = Plan([Step("script", "llm", 1, script=[{"do": {"status": 503}}])])
    with pytest.raises(BadValue, match="script"):
        Nemesis(plan, Control(), {}, HistoryWriter(ManualClock()), prefix="")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["read_only", "out_of_memory"])
async def test_a_state_of_the_store_is_entered_and_left(kind: str) -> None:
    process, history = Store(), HistoryWriter(ManualClock())
    nemesis = Nemesis(Plan([Step(kind, "redis", 0.0, 0.0)]), Control(), {"redis": process}, history, prefix="run/")  # type: ignore[arg-type]
    await nemesis.run()
    assert process.done == [kind, "restore"]
    assert [r.phase for r in history.freeze().records[1:]] == ["planned", "fired", "healed"]


class Store(Process):
    """A process with states."""

    async def read_only(self) -> None:
        self.done.append("read_only")

    async def out_of_memory(self) -> None:
        self.done.append("out_of_memory")

    async def restore(self) -> None:
        self.done.append("restore")


async def test_both_directions_are_struck_and_healed_and_their_hits_add_up() -> None:
    at = Stage(Step("partition", "edge", 1, 3, stream="both"))
    await at.until(1)
    both = [(name, toxic["stream"]) for (_, name), toxic in at.control.toxics.items()]
    assert both == [("partition-0-upstream", "upstream"), ("partition-0-downstream", "downstream")]
    for hits, toxic in enumerate(at.control.toxics.values(), start=3):
        toxic["hits"] = hits
    await at.until(4)
    await at.task
    assert at.control.toxics == {}
    (fault,) = at.history.freeze().faults()
    assert (fault.hits, fault.value["stream"]) == (7, "both")


async def test_a_step_on_an_event_counts_from_its_first_frame() -> None:
    at = Stage(Step("down", "redis", 0.5, 1, on="tool_executing"))
    await at.until(3)
    at.history.seen("user-1", "frame", type="agent_started")
    at.history.seen("auditor", "tool_executing", type="tool_executing")
    await at.until(4)
    assert at.control.toxics == {}
    at.history.seen("user-1", "frame", type="tool_executing")
    await at.until(4.25)
    at.history.seen("user-2", "frame", type="tool_executing")
    await at.until(9)
    await at.task
    assert [(t, phase) for t, f, phase in at.told if f == "down"] == [(0, "planned"), (4.5, "fired"), (5.5, "healed")]


async def test_an_event_that_never_comes_leaves_its_step_unfired() -> None:
    at = Stage(Step("down", "redis", 0, 1, on="tool_executing"))
    await at.until(100)
    await at.stop()
    (fault,) = at.history.freeze().faults()
    assert (fault.fired, fault.value["on"]) == (None, "tool_executing")


async def test_a_step_on_an_event_may_wait_for_several() -> None:
    at = Stage(Step("down", "redis", 0.5, 1, on="system_message", nth=3))
    for second in (1, 2):
        await at.until(second)
        at.history.seen(f"user-{second}", "frame", type="system_message")
    await at.until(10)
    assert at.control.toxics == {}
    at.history.seen("user-3", "frame", type="system_message")
    await at.until(20)
    await at.task
    assert [(t, phase) for t, f, phase in at.told if f == "down"] == [(0, "planned"), (10.5, "fired"), (11.5, "healed")]
