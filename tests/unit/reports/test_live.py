"""Where the live picture is shown, and what is on it."""

import asyncio

from netra_sim.reports import live

FAULT = {"id": 4, "kind": "latency", "target": "postgres"}


def tick(elapsed, faults=(), ok=3):
    ops = {"chat": {"ok": ok, "fail": 1, "unknown": 0}}
    return {"elapsed": elapsed, "interval": 0.5, "ops": ops, "median_s": 0.2, "slowest_s": 0.9, "users": 5,
            "faults": list(faults), "level": "partial",
            "breakers": {"postgres": "closed", "redis": "half_open"}}  # fmt: skip


def test_only_jupyterlab_gets_it():
    assert live.wanted({"JPY_SESSION_NAME": "x.ipynb"})
    assert not live.wanted({})
    assert not live.wanted({"JPY_SESSION_NAME": "x.ipynb", "NETRA_PROGRESS": "file"})


def test_a_fault_is_shaded_while_ticks_name_it():
    ticks = [tick(0.5), tick(1.0, [FAULT]), tick(1.5, [FAULT]), tick(2.0)]
    assert live.shades(ticks) == {4: (0.5, 1.5, "latency postgres")}


def test_the_picture_has_a_fixed_size_and_says_in_words_what_it_shows():
    shown = live.Live()
    shown.note({"trial": "protected", "phase": "load"})
    shown.note({"tick": tick(1.0, [FAULT])})
    assert shown.png()[16:24] == (720).to_bytes(4, "big") + (300).to_bytes(4, "big")
    assert "protected: load" in shown.html() and "latency on postgres" in shown.html()


def test_it_keeps_the_last_two_minutes():
    shown = live.Live()
    for number in range(1000):
        shown.note({"tick": tick(number / 2)})
    assert len(shown.ticks) == live.KEPT


def test_what_is_not_normal_is_bold():
    assert live.health(tick(1.0)) == "<b>service partial</b>; breakers: postgres closed, <b>redis half open</b>"
    assert live.health({"level": None, "breakers": {}}) == "no worker has told its state yet"


async def test_what_comes_while_a_picture_is_due_is_drawn_with_it():
    drawn, shown = asyncio.Queue(), live.Live()
    for number in range(5):
        shown.note({"tick": tick(number / 2)})
        shown.soon(lambda: drawn.put_nowait(len(shown.ticks)))
    async with asyncio.timeout(5):
        assert await drawn.get() == 5
    assert drawn.empty()
