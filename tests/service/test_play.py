"""A session of play over the lab host, as a notebook has it: inject, watch, heal, stop."""

import asyncio

import pytest

from netra_sim import Lab
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
    await play.inject("limit_memory", "worker-1", more=500)
    with pytest.raises(BadValue, match="struck already"):
        await play.inject("kill", "worker-1")
    await play.inject("timeout", "llm")
    history = (await play.stop()).history
    faults = history.faults()
    assert [(f.kind, f.target) for f in faults] == [
        ("latency", "postgres"), ("latency", "postgres"), ("pause", "redis"), ("restart", "redis"),
        ("limit_memory", "worker-1"), ("timeout", "llm"),
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
    with pytest.raises(UnknownName, match="fault"):
        await play.heal(9)
    with pytest.raises(BadValue, match="one session"):
        await lab.play(users=1)
    assert (await play.stop()).history.faults() == []
    with pytest.raises(BadValue, match="going on"):
        await play.heal()


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
