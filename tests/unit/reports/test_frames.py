"""Histories as points, rates, spans and bars."""

import pytest

from netra_sim.kernel.history import History, Record
from netra_sim.reports import frames
from tests.unit.reports import sample_history
from tests.unit.reports.sample_history import Tape


def test_a_point_says_when_how_long_and_against_which_limit():
    tape = Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    tape.op(2.0, 0.25, "user-1", "send", "ok", {"deadline_s": 0.5}, {})
    (point,) = frames.points(tape.history())
    assert (point.at, point.seconds, point.f, point.outcome, point.limit) == (2.0, 0.25, "send", "ok", 0.5)


def test_an_operation_without_an_answer_lasts_until_the_end():
    tape = Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    tape.op(1.0, None, "user-1", "send", "unknown", {}, {})
    tape.put(9.0, "run", "load_ended", "seen", {})
    (point,) = frames.points(tape.history())
    assert (point.outcome, point.seconds) == ("unknown", 8.0)


def test_throughput_counts_every_operation_once():
    history = sample_history.history(protected=False)
    rates = frames.throughput(history)
    step = rates.edges[1] - rates.edges[0]
    for outcome in frames.OUTCOMES:
        counted = sum(rates.done[outcome]) * step
        assert counted == pytest.approx(sum(op.outcome == outcome for op in history.ops()))
    assert sum(rates.asked) * step == pytest.approx(len(history.ops()))
    assert len(rates.asked) == len(rates.edges) - 1 <= 62


def test_spans_tell_fired_unhealed_idle_and_never_fired_apart():
    tape = Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    tape.put(1.0, "run", "load_started", "seen", {})
    for kind, at, hits in (("kill", 2.0, 1), ("down", 3.0, 0), ("pause", 4.0, None)):
        id_ = tape.put(1.0, "nemesis", kind, "planned", {"target": "redis", "at": at})
        if hits is not None:
            tape.put(1.0 + at, "nemesis", kind, "fired", {"target": "redis", "hits": hits}, id_)
    tape.put(9.0, "run", "load_ended", "seen", {})
    kill, down, pause = frames.spans(tape.history())
    assert (kill.name, kill.start, kill.end, kill.fired, kill.struck) == ("Redis killed", 3.0, 9.0, True, True)
    assert (down.fired, down.struck) == (True, False)
    assert (pause.start, pause.end, pause.fired) == (5.0, 5.0, False)


@pytest.mark.parametrize(
    ("kind", "target", "name"),
    [
        ("kill", "postgres", "Postgres killed"),
        ("reset_peer", "llm", "LLM connections reset"),
        ("read_only", "redis", "Redis read-only"),
        ("out_of_memory", "redis", "Redis out of memory"),
        ("kill", "clickhouse", "ClickHouse killed"),
        ("partition", "edge", "users' edge partitioned"),
        ("black_hole", "edge-2", "one users' edge a black hole"),
        ("script", "llm", "LLM misbehaves"),
        ("slicer", "worker-1", "worker-1 data in slices"),
        ("half_a_kind", "worker-1", "worker-1: half a kind"),
    ],
)
def test_a_fault_is_named_in_plain_words(kind, target, name):
    assert frames.fault_name(kind, target) == name


def test_pack_never_overlaps_and_uses_the_lowest_free_row():
    assert frames.pack([(0, 3), (1, 2), (2, 5), (3, 4)]) == [0, 1, 1, 0]


def test_a_run_becomes_bars_in_the_platforms_order():
    run = frames.run_frame(sample_history.history(), "user-0-r4")
    assert run is not None
    assert frames.lanes(run.bars) == [
        "supervisor", "triage", "data", "optimization", "actions", "reporting", "tools",
    ]  # fmt: skip
    whole = next(bar for bar in run.bars if bar.lane == "supervisor")
    assert whole.start == 0 and all(bar.end <= whole.end for bar in run.bars)
    data = next(bar for bar in run.bars if bar.lane == "data")
    assert len(data.marks) == 2 and data.closed
    assert {bar.label for bar in run.bars if bar.lane == "tools"} == {
        n for names in sample_history.TOOLS.values() for n in names
    }


def test_the_default_run_is_one_that_lived_through_a_fault():
    run = frames.run_frame(sample_history.history())
    assert run is not None and len(run.spans) == 2
    assert all(0 <= span.start < span.end <= run.events[-1].ms for span in run.spans)


def test_frames_stand_in_where_the_auditor_read_nothing():
    tape = Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    for n, (type_, agent) in enumerate([("agent_started", "supervisor"), ("agent_death", "supervisor")], start=1):
        frame = {"type": type_, "seq": n, "run_id": "r1", "run_seq": n, "agent": agent, "tool": None, "call": None}
        tape.put(float(n), "user-1", "frame", "seen", frame)
        tape.put(float(n) + 0.5, "user-1", "frame", "seen", frame)  # a replay of the same event
    run = frames.run_frame(tape.history())
    assert run is not None
    (bar,) = run.bars
    assert (bar.end, bar.outcome, len(run.events)) == (1000.0, "fail", 2)


def test_what_never_ended_stays_open():
    tape = Tape()
    rows = [
        [1, "r", 1, "agent_started", "data", None, None, 10.0],
        [2, "r", 2, "tool_executing", "data", "q", "c", 15.0],
    ]
    tape.put(0.0, "auditor", "events", "seen", {"user_id": "u", "seqs": [1, 2], "of": rows})
    run = frames.run_frame(tape.history())
    assert run is not None and {(bar.lane, bar.outcome, bar.closed) for bar in run.bars} == {
        ("data", "unknown", False), ("tools", "unknown", False),
    }  # fmt: skip


def test_no_events_no_run():
    assert frames.run_frame(History([Record(0, 0, "run", "start", "seen", {})])) is None
    assert frames.run_frame(sample_history.history(), "no-such-run") is None
