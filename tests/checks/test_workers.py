"""Events that cross between workers, and those stored while a client was away."""

from dataclasses import replace

from netra_sim.checks.workers import crosses_workers, replayed_from_store
from netra_sim.kernel.history import History
from tests.checks.story import Story, about, cannot_tell, convicts, inserted, passes, told, user, value_of, without

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


def move() -> History:
    """A user on w-1 whose runs are on w-2: before, in and after the outage, with a second socket in its midst.

    5 events come before it; in it 4 on the first socket and 1 as it ends, 1 while he is away, 6 on the second and 1 as
    it ends; 3 come after the outage on a third.
    """
    story = Story().login("user-1").connect("user-1").send("user-1", "r-1")

    def tell(*numbers: int) -> None:
        for number in numbers:
            story.event("user-1", "r-1", number, "agent_thinking", "data")

    tell(*range(1, 6))
    story.fault("kill", "redis", 1.0, None).pass_(0.01)
    tell(*range(6, 10))
    story.pass_(0.6)
    tell(10)
    story.seen("user-1", "disconnected")
    tell(11)
    story.pass_(0.6).connect("user-1")
    tell(*range(12, 18))
    story.pass_(0.6)
    tell(18)
    story.seen("user-1", "disconnected")
    story._writer.fault(story.end().faults()[0].id, "kill", "healed", hits=1)
    story.pass_(0.6).connect("user-1")
    tell(*range(19, 22))
    return on_another(story.pass_(1.0).op("user-1", "history").audit().end())


def on_another(history: History) -> History:
    """The runs were on w-2, while all sockets are on w-1."""
    return told(history, WHERE, rows=[{**row, "worker": "w-2"} for row in value_of(history, WHERE)["rows"]])


def unseen(history: History, *numbers: int) -> History:
    for number in numbers:
        history = without(history, about("frame", run_seq=number))
    return history


def test_only_what_comes_in_the_outage_to_an_open_socket_must_cross() -> None:
    assert "12 of 12 events crossed in time (100 %)" in passes(CROSSES, move()).observed
    gone = unseen(move(), 1, 2, 10, 11, 18, 19, 20)
    assert "10 of 10 events crossed in time" in passes(CROSSES, gone).observed
    for number in (6, 9, 12, 17):
        convicts(CROSSES, unseen(move(), number), "11 of 12 events", "first at ")
        passes(crosses_workers(0.5, "redis", at_least=11 / 12), unseen(move(), number))
    passes(CROSSES, chat_of(10))
    cannot_tell(CROSSES, chat_of(9), "Only 9 events")


def chat_of(events: int) -> History:
    """So many events in an outage, all seen."""
    story = Story().login("user-1").connect("user-1").fault("kill", "redis", 0.5, None)
    for number in range(1, events + 1):
        story.event("user-1", "r-1", number, "agent_thinking", "data")
    story._writer.fault(story.end().faults()[0].id, "kill", "healed", hits=1)
    history = story.pass_(1.0).op("user-1", "history").audit().end()
    return told(history, WHERE, rows=[{"run_id": "r-1", "user_id": user("user-1"), "worker": "w-2"}])


def test_a_socket_that_is_being_made_is_on_no_worker_yet() -> None:
    history = told(move(), WHERE, rows=[{"run_id": "r-1", "user_id": user("user-1"), "worker": "w-1"}])
    for phase in ("invoke", "fail", "unknown"):
        tried = inserted(history, about("frame", run_seq=6), "user-1", "connect", phase, via="header")
        cannot_tell(CROSSES, tried, "Only 0 events")


def test_another_outage_or_one_that_never_ended_tells_nothing() -> None:
    for target in ("postgres", "worker-1"):
        other = told(told(chat_of(12), about("kill", "planned"), target=target), about("kill", "fired"), target=target)
        cannot_tell(CROSSES, other, "Only 0 events")
    endless = told(without(chat_of(12), about("kill", "healed")), about("kill", "fired"), hits=1)
    cannot_tell(CROSSES, endless, "Only 0 events")


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
    assert "All of 12 events" in passes(REPLAYED, away()).observed


def test_a_client_that_has_seen_nothing_yet_is_owed_all_that_is_stored_after_its_welcome() -> None:
    for first, missed in ((None, 4), (0, 4), (2, 2)):
        story = Story().login("user-1").connect("user-1")
        for number in range(1, 5):
            story.event("user-1", "r-1", number, "agent_thinking", "data")
        history = story.connect("user-1").audit().end()
        frames = [r for r in history.records if r.f == "frame" and r.value["seq"]]
        late = [r for r in history.records if r not in frames]
        end = next(n for n, r in enumerate(late) if r.actor == "auditor")
        shown = told(History((*late[:end], *frames, *late[end:])), about("connect", "ok"), last_seq=first)
        assert f"All of {missed} events" in passes(REPLAYED, shown).observed


def test_what_a_client_does_meanwhile_changes_nothing() -> None:
    for f in ("chat", "history"):
        busy = inserted(away(), about("frame", seq=20), "user-1", f, "ok", run_id="r-1")
        passes(REPLAYED, busy)
        convicts(REPLAYED, without(busy, about("frame", seq=15)), "1 of 12 events")


def test_a_frame_that_comes_late_moves_no_client_back() -> None:
    history = away()
    end = about("messages")
    late = inserted(history, end, "user-1", "frame", "seen", **value_of(history, about("frame", seq=3)))
    again = late
    for _ in range(2):
        welcome = value_of(history, about("connect", "ok", last_seq=22))
        again = inserted(again, end, "user-1", "connect", "ok", **welcome)
    assert "All of 12 events" in passes(REPLAYED, again).observed


def test_an_event_that_is_not_replayed() -> None:
    lost = without(away(), about("frame", seq=15))
    convicts(REPLAYED, lost, "1 of 12 events")
    later = {**value_of(lost, about("frame", seq=22)), "seq": 23}
    convicts(REPLAYED, inserted(lost, about("messages"), "user-1", "frame", "seen", **later), "1 of 12 events")


def test_nobody_missed_anything() -> None:
    cannot_tell(REPLAYED, chat(), "No client missed")


def test_what_was_stored_before_a_user_ever_connected_did_not_have_to_reach_him() -> None:
    history = move()
    first = next(r for r in history.records if r.f == "connect" and r.phase == "ok")
    early = History([r for r in history.records if r is not first])
    cannot_tell(CROSSES, early, "Only 7 events")
