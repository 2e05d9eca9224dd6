import io
from pathlib import Path

import pytest

from netra_sim.kernel.clock import ManualClock
from netra_sim.kernel.history import History, HistoryWriter, Record


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000)


async def test_invoke_and_completion_are_joined_by_id(clock: ManualClock):
    writer = HistoryWriter(clock)
    first = writer.invoke("user-1", "send", text="a")
    second = writer.invoke("user-2", "send", text="b")
    await clock.advance(1.5)
    writer.complete(second, "user-2", "send", "fail", code="no")
    writer.complete(first, "user-1", "send", "ok", run_id="r")
    history = writer.freeze()
    one, two = history.ops("send")
    assert (one.id, one.actor, one.outcome, one.value, one.result) == (
        first,
        "user-1",
        "ok",
        {"text": "a"},
        {"run_id": "r"},
    )
    assert (two.outcome, two.result, two.seconds) == ("fail", {"code": "no"}, 1.5)
    assert (history.start, history.end) == (1_000, 1_500_001_000)
    assert history.seconds(one.end or 0) == 1.5


def test_an_invoke_without_completion_is_unknown(clock: ManualClock):
    writer = HistoryWriter(clock)
    writer.invoke("user-1", "send")
    (op,) = writer.freeze().ops()
    assert (op.outcome, op.end, op.seconds, op.result) == ("unknown", None, None, {})


def test_views_choose_by_name(clock: ManualClock):
    writer = HistoryWriter(clock)
    for name in ("login", "send", "login"):
        writer.complete(writer.invoke("u", name), "u", name, "ok")
    writer.seen("u", "frame", seq=1)
    history = writer.freeze()
    assert [op.f for op in history.ops()] == ["login", "send", "login"]
    assert [op.id for op in history.ops("login")] == [1, 3]
    assert [r.value for r in history.seen("frame")] == [{"seq": 1}]
    assert history.seen() == []


async def test_a_faults_life_is_one_fault(clock: ManualClock):
    writer = HistoryWriter(clock)
    fault = writer.fault(None, "latency", "planned", target="postgres")
    never = writer.fault(None, "down", "planned", target="redis")
    await clock.advance(1)
    assert writer.fault(fault, "latency", "fired", hits=0) == fault
    await clock.advance(1)
    writer.fault(fault, "latency", "healed", hits=7)
    one, two = writer.freeze().faults()
    assert (one.kind, one.target, one.hits) == ("latency", "postgres", 7)
    assert (one.planned, one.fired, one.healed) == (1_000, 1_000_001_000, 2_000_001_000)
    assert (two.id, two.fired, two.healed, two.hits) == (never, None, None, 0)


def test_the_sink_gets_each_record_as_it_is_made(clock: ManualClock):
    sink = io.StringIO()
    writer = HistoryWriter(clock, sink)
    writer.seen("u", "frame", text="line\nbreak \u2028 é")
    lines = sink.getvalue().splitlines()
    assert [Record.from_json(line) for line in lines] == list(writer.freeze().records)


def test_frozen_histories_do_not_change(clock: ManualClock):
    writer = HistoryWriter(clock)
    frozen = writer.freeze()
    writer.seen("u", "frame")
    assert len(frozen.records) == 1


@pytest.fixture
def stored(clock: ManualClock, tmp_path: Path) -> Path:
    writer = HistoryWriter(clock)
    writer.complete(writer.invoke("u", "send", n=1), "u", "send", "ok")
    writer.freeze().save(tmp_path / "h.jsonl")
    return tmp_path / "h.jsonl"


def test_saved_and_loaded_it_is_the_same(stored: Path):
    history = History.load(stored)
    assert [op.outcome for op in history.ops("send")] == ["ok"]
    history.save(stored)
    assert History.load(stored).records == history.records


def test_every_cut_of_the_last_line_is_dropped_or_whole(stored: Path):
    text = stored.read_text()
    lines = text.splitlines()
    start = text.rindex("\n", 0, -1) + 1
    for cut in range(start + 1, len(text) - 1):
        stored.write_text(text[:cut])
        assert len(History.load(stored).records) == len(lines) - 1
    (op,) = History.load(stored).ops()
    assert op.outcome == "unknown"


@pytest.mark.parametrize("broken", ["", "[1,2", "7", "[1,2,3]", "null"])
def test_a_broken_line_in_the_middle_raises(stored: Path, broken: str):
    lines = stored.read_text().splitlines()
    stored.write_text("\n".join([lines[0], broken, *lines[1:]]) + "\n")
    with pytest.raises(ValueError):
        History.load(stored)


def test_an_empty_history_has_views(tmp_path: Path):
    (tmp_path / "empty").write_text("")
    history = History.load(tmp_path / "empty")
    assert (history.start, history.end, history.ops(), history.faults()) == (0, 0, [], [])


async def test_what_is_done_within_an_op_is_its_duration_and_an_error_its_failure(clock: ManualClock):
    writer = HistoryWriter(clock)
    with writer.op("lab", "start", what="redis"):
        await clock.advance(0.5)
    with pytest.raises(KeyError), writer.op("lab", "start", what="llm"):
        raise KeyError
    good, bad = writer.freeze().ops("start")
    assert (good.outcome, good.seconds, good.value) == ("ok", 0.5, {"what": "redis"})
    assert (bad.outcome, bad.result) == ("fail", {"code": "KeyError"})


async def test_who_waits_for_a_record_gets_the_first_that_matches():
    writer = HistoryWriter()
    writer.seen("user-1", "frame", type="agent_started")
    first = writer.first(lambda record: record.f == "frame")
    given_up = writer.first(lambda record: record.f == "frame")
    given_up.cancel()
    writer.invoke("user-1", "send")
    assert not first.done()
    writer.seen("user-2", "frame", type="a")
    writer.seen("user-3", "frame", type="b")
    assert (await first).actor == "user-2"
