"""A session of play over the lab host, as a notebook has it: inject, watch, heal, stop."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from netra_sim import Lab, Result
from netra_sim.kernel.errors import BadValue, UnknownName
from tests.service.lab_footprint import base_for


@pytest.fixture
async def lab(tmp_path, monkeypatch):
    (tmp_path / "noxfile.py").touch()
    monkeypatch.chdir(tmp_path)
    with base_for() as base:
        monkeypatch.setenv("NETRA_DATA_DIR", str(base))
        async with Lab() as lab:
            yield lab


async def until(play, condition):
    """The first tick of which the condition holds."""
    found = asyncio.get_running_loop().create_future()
    play.on_tick = lambda tick: found.set_result(tick) if condition(tick) and not found.done() else None
    async with asyncio.timeout(30):
        return await found


def chats(tick):
    return tick["ops"].get("chat", {}).get("ok", 0)


async def test_faults_by_hand_are_seen_healed_and_recorded(lab):
    play = await lab.play(users=3)
    assert {"postgres", "redis", "llm", "edge"} <= set(play.edges)
    await until(play, chats)
    number = await play.inject("latency", "postgres", latency=200)
    second = await play.inject("latency", "postgres", latency=50)
    seen = await until(play, lambda tick: len(tick["faults"]) == 2)
    assert {f["kind"] for f in seen["faults"]} == {"latency"}
    assert await play.heal(second) == [second]
    assert [f["number"] for f in await play.faults()] == [number]
    await play.inject("pause", "redis")
    assert len(await play.heal()) == 2
    await play.inject("restart", "redis")
    assert await play.faults() == []
    await until(play, chats)
    assert play.processes == ["postgres", "redis", "clickhouse", "llm", "worker-1", "worker-2"]
    limited = await play.inject("limit_memory", "worker-1", more=500)
    with pytest.raises(BadValue, match="struck already"):
        await play.inject("kill", "worker-1")
    await play.inject("timeout", "llm")
    await play.inject("redis_error", "redis", match={"text": "^NOTHING "})
    await play.heal(limited)
    await play.inject("kill", "worker")
    history = (await play.stop()).history
    faults = history.faults()
    assert [(f.kind, f.target) for f in faults] == [
        ("latency", "postgres"), ("latency", "postgres"), ("pause", "redis"), ("restart", "redis"),
        ("limit_memory", "worker-1"), ("timeout", "llm"), ("redis_error", "redis"), ("kill", "worker-1"),
    ]  # fmt: skip
    assert all(f.fired is not None and f.healed is not None for f in faults)


async def test_bad_input_is_refused_before_anything_happens(lab):
    with pytest.raises(UnknownName, match="think"):
        await lab.play(thimk=3)
    with pytest.raises(BadValue, match="users"):
        await lab.play(users=0)
    play = await lab.play(users=1)
    with pytest.raises(UnknownName, match="latency"):
        await play.inject("latncy", "postgres")
    with pytest.raises(UnknownName, match="postgres"):
        await play.inject("latency", "postgras", latency=5)
    with pytest.raises(UnknownName, match="jitter"):
        await play.inject("latency", "postgres", latncy=5)
    with pytest.raises(UnknownName, match="worker-2"):
        await play.inject("kill", "worker-3")
    with pytest.raises(BadValue, match=r"match\.nth"):
        await play.inject("cut", "postgres", match={"nth": 0})
    with pytest.raises(UnknownName, match="fault"):
        await play.heal(9)
    with pytest.raises(BadValue, match="one session"):
        await lab.play(users=1)
    assert (await play.stop()).history.faults() == []
    with pytest.raises(BadValue, match="going on"):
        await play.heal()


async def test_a_fault_on_messages_names_those_it_strikes(lab):
    play = await lab.play(users=2)
    with pytest.raises(BadValue, match=r"target cannot be 'redis'\. It takes an edge that speaks postgres"):
        await play.inject("pg_error", "redis")
    with pytest.raises(UnknownName, match="field of match"):
        await play.inject("pg_error", "postgres", match={"sql": "x"})
    with pytest.raises(BadValue, match="stream"):
        await play.inject("delay_message", "postgres", stream="both")
    slow = {"type": ["Query", "Execute", "Parse"]}
    number = await play.inject("delay_message", "postgres", delay=1, match=slow)
    assert [f["attributes"] for f in await play.faults()] == [{"delay": 1, "match": slow}]
    await play.answers(1)
    assert await play.heal(number) == [number]
    [fault] = (await play.stop()).history.faults()
    assert (fault.kind, fault.hits > 0, fault.healed is not None) == ("delay_message", True, True)


async def test_answers_are_waited_for_while_the_session_lasts(lab):
    play = await lab.play(users=2)
    await play.answers(2)
    waiting = asyncio.create_task(play.answers(10**6))
    recorded = (await play.stop()).history
    assert sum(op.outcome == "ok" for op in recorded.ops("chat")) >= 2
    assert recorded.seen("gauges")
    with pytest.raises(BadValue, match="going on"):
        await waiting


async def test_a_run_with_chosen_controls_says_which_it_left_out_and_is_kept_from_the_report(lab, tmp_path):
    with pytest.raises(UnknownName, match="event-dropped"):
        await lab.run("golden/chat", controls=["event-droped"])
    result = await lab.run("golden/chat", users=2, messages=1, controls=["event-dropped"])
    assert [c.data["name"] for c in result.controls] == ["event-dropped"]
    assert "event-sent-twice" in result.data["controls_left"]
    assert not (tmp_path / "runs").exists()


PLAN = {
    "seed": 3,
    "steps": [
        {"kind": "delay_message", "target": "redis", "at": 0.0, "attributes": {"delay": 1, "match": {"first": 2}}},
        {"kind": "kill", "target": "worker-2", "at": 0.0, "on": {"f": "login", "phase": "ok"}, "nth": 9},
    ],
}


async def test_a_plan_of_ones_own_strikes_a_scenario_and_a_run_is_replayed_from_its_folder(lab, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps({**PLAN, "steps": [{**PLAN["steps"][0], "lesae": 1}]}))
    with pytest.raises(UnknownName, match=r"steps\[0\].*lesae"):
        await lab.run("golden/chat", plan=tmp_path / "mine.json")
    (tmp_path / "mine.json").write_text(json.dumps(PLAN))
    result = await lab.run("golden/chat", users=2, messages=1, plan=tmp_path / "mine.json")
    delayed, killed = result.history.faults()
    assert (delayed.hits, result.data["seed"], result.controls) == (2, 3, [])
    assert (killed.fired, killed.hits) == (None, 0)
    assert result.verdict != "pass"
    unproven = [check for check in result.data["checks"] if check["outcome"] == "unknown"]
    assert any("never struck (kill on worker-2)" in check["observed"] for check in unproven)
    assert not (tmp_path / "runs").exists()
    command = (sys.executable, "-m", "netra_sim", "replay", str(result.folder))
    again = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE)
    told, _ = await again.communicate()
    assert again.returncode == 1
    repeated = Result.load(Path(told.decode().splitlines()[-1]))
    assert repeated.folder != result.folder
    assert repeated.data["parameters"] == result.data["parameters"]
    assert (repeated.folder / "plan.json").read_text() == (result.folder / "plan.json").read_text()
    assert [(fault.kind, fault.hits) for fault in repeated.history.faults()] == [("delay_message", 2), ("kill", 0)]
