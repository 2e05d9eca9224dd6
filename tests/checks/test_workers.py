"""Events that cross between workers, and those stored while a client was away."""

from dataclasses import replace

from netra_sim.checks.workers import crosses_workers, replayed_from_store
from netra_sim.kernel.history import History
from tests.checks.story import Story, about, cannot_tell, convicts, passes, told, without

CROSSES, REPLAYED = crosses_workers(0.5, "redis"), replayed_from_store()
WHERE = about("runs")


def chat(worker: str = "w-2", outage: bool = True) -> History:
    """A chat of a user on w-1 whose run is on `worker`, told live while Redis is out; he stays for a second."""
    story = Story().login("user-1").connect("user-1")
    if outage:
        story.fault("kill", "redis", 0.5, None)
    story.chat("user-1", "r-1").pass_(1.0).op("user-1", "history")
    if outage:
        story._writer.fault(story.end().faults()[0].id, "kill", "healed", hits=1)
    history = story.audit().end()
    rows = [{**row, "worker": worker} for row in next(r for r in history.records if WHERE(r)).value["rows"]]
    return told(history, WHERE, rows=rows)


def later(history: History, run_seq: int, by: float) -> History:
    """The frame of this event comes later."""
    moved = about("frame", run_id="r-1", run_seq=run_seq)
    records = [replace(r, t=r.t + round(by * 1e9)) if moved(r) else r for r in history.records]
    return History(sorted(records, key=lambda r: r.t))


def test_events_that_cross_in_time() -> None:
    verdict = passes(CROSSES, chat())
    assert "crossed in time (100 %)" in verdict.observed
    passes(CROSSES, later(chat(), 5, 0.4))


def test_an_event_that_comes_late_or_not_at_all() -> None:
    convicts(CROSSES, later(chat(), 5, 0.6), "the slowest took 0.6")
    convicts(CROSSES, without(chat(), about("frame", run_id="r-1", run_seq=9)))


def test_nothing_had_to_cross() -> None:
    cannot_tell(CROSSES, chat(worker="w-1"), "Only 0 events")
    cannot_tell(CROSSES, chat(outage=False), "Only 0 events")


def away() -> History:
    """A client loses its connection in a run, and gets the rest of it after it has come back."""
    story = Story().login("user-1").connect("user-1").chat("user-1", "r-1")
    records = story.connect("user-1").pass_(0.1).op("user-1", "history").audit().end().records
    where = about("connect", "ok", last_seq=0)
    first = next(n for n, r in enumerate(records) if where(r))
    again = next(n for n, r in enumerate(records) if n > first and r.f == "connect" and r.phase == "ok")
    frames = [r for r in records[:again] if r.f == "frame" and r.value["seq"] is not None and r.value["seq"] > 10]
    moved = [replace(r, t=records[again].t + n + 1) for n, r in enumerate(frames)]
    kept = [r for r in records[: again + 1] if r not in frames]
    return History((*kept, *moved, *records[again + 1 :]))


def test_what_was_missed_is_replayed() -> None:
    passes(REPLAYED, away())


def test_an_event_that_is_not_replayed() -> None:
    convicts(REPLAYED, without(away(), about("frame", seq=15)), "1 of")


def test_nobody_missed_anything() -> None:
    cannot_tell(REPLAYED, chat(), "No client missed")
