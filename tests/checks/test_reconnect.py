"""Clients that come back: how they wait, and what they find."""

from collections.abc import Sequence

from netra_sim.checks.reconnect import backs_off, session_survives
from netra_sim.kernel.history import History
from tests.checks.story import Story, about, cannot_tell, convicts, inserted, passes, renamed, swapped, told, user

WAITS, SURVIVES = backs_off(), session_survives()
READ = about("history", "ok")
SHARES = (0.1, 0.9, 0.4, 0.7, 0.2)  # of the bound, one an attempt: a fair draw


def waiting(shares: Sequence[float] = SHARES, users: int = 6, early: float = 0.0, doubling: bool = True) -> History:
    """Users who each try five times, the bound doubling from 0.1 s; `early` s before their time."""
    story = Story(step=0.0)
    for n in range(1, users + 1):
        for attempt, share in enumerate(shares):
            bound = 0.1 * 2**attempt
            pause = share * (bound if doubling else 0.1)
            story.seen(f"user-{n}", "reconnect", attempt=attempt, backoff_s=pause, at_most_s=bound)
            story.pass_(max(0.0, pause - early)).op(f"user-{n}", "connect", "fail", took=0.001)
    return story.end()


def test_random_waits_up_to_a_doubling_bound() -> None:
    says = (
        "46 % of its doubling bound on average, spread by 30 %, and 43 % after two failures; 0 came before their time."
    )
    assert says in passes(WAITS, waiting()).observed
    passes(WAITS, History(waiting().records[:-2]))  # planned, and never begun
    cannot_tell(WAITS, waiting(users=3), "Only 15 reconnects")
    cannot_tell(WAITS, waiting(SHARES[:2], users=12), "0 after two failures")


def test_just_enough_waits_and_those_that_could_be_none() -> None:
    passes(WAITS, waiting(users=4))
    none = told(waiting(), about("reconnect"), at_most_s=0.0, backoff_s=0.0)
    assert passes(WAITS, none).observed.startswith("29 reconnects by 6 clients")
    plans = [r for r in waiting(users=12).records if r.f == "reconnect"]
    later = [r for r in plans if r.value["attempt"] >= 2]
    for n, judge in ((4, cannot_tell), (5, passes)):
        judge(WAITS, History(r for r in waiting(users=12).records if r not in later[n:]))


def test_the_mean_and_the_spread_of_a_fair_draw() -> None:
    for least, most in ((0.0, 0.5), (0.5, 1.0), (0.38, 0.62)):
        passes(WAITS, waiting((least, most) * 2))
    for least, most, says in ((0.0, 0.48, "24 %"), (0.52, 1.0, "76 %"), (0.45, 0.55, "spread by 5 %")):
        convicts(WAITS, waiting((least, most) * 2), says)
    passes(WAITS, waiting((0.9, 0.9, 0.2, 0.2, 0.15)))
    convicts(WAITS, waiting((0.9, 0.9, 0.2, 0.2, 0.05)), "15 % after two failures")


def test_clients_that_come_at_once_in_step_or_too_early() -> None:
    convicts(WAITS, waiting([0.0] * 5), "0 % of its doubling bound")
    convicts(WAITS, waiting([1.0] * 5), "100 %")
    convicts(WAITS, waiting([0.5] * 5), "spread by 0 %")
    evidence = convicts(WAITS, waiting(early=0.01), "30 came before their time").evidence
    assert all(facts["began"] < facts["t"] + facts["backoff_s"] for facts in evidence)
    assert max(facts["at_most_s"] for facts in evidence) == 1.6
    convicts(WAITS, waiting(early=0.003), "came before their time")
    passes(WAITS, waiting(early=0.001))  # a timer is no more exact


def test_a_wait_that_does_not_grow() -> None:
    convicts(WAITS, waiting((0.9, 0.8, 0.9, 1.0, 1.0), doubling=False), "after two failures")


def returning(*runs: str) -> History:
    """A user asks, loses the connection, comes back and reads his thread."""
    story = Story().login("user-1").connect("user-1")
    for run in runs or ("r-1",):
        story.chat("user-1", run)
    story.seen("user-1", "disconnected", connection="c-1", code=1006).connect("user-1")
    read = {"status": 200, "messages": 2}
    return story.op("user-1", "history", told=read, thread_id="t-1", deadline_s=1.0).end()


def test_who_comes_back_finds_everything_as_it_was_left() -> None:
    assert "1 thread read afterwards" in passes(SURVIVES, returning()).observed
    passes(SURVIVES, told(returning(), READ, messages=1))
    passes(SURVIVES, returning("r-1", "r-2"))


def test_a_stranger_a_shorter_stream_and_a_lost_message() -> None:
    again = about("connect", "ok", connection_id="c-2")
    for stranger in ("0", user("user-2"), "z"):
        convicts(SURVIVES, told(returning(), again, user_id=stranger), "another user")
    convicts(SURVIVES, told(returning(), again, last_seq=0), "a shorter stream")
    evidence = convicts(SURVIVES, told(returning(), READ, messages=0), "After 1 reconnect, 1 time").evidence
    assert evidence[0]["problem"] == "messages missing"
    convicts(SURVIVES, told(returning("r-1", "r-2"), READ, messages=1), "messages missing")
    story = Story().login("user-1").connect("user-1").send("user-1", "r-1").connect("user-1")  # one event was seen
    convicts(SURVIVES, told(story.end(), again, last_seq=0), "a shorter stream")


def test_what_was_not_acknowledged_before_in_this_thread_may_be_missing() -> None:
    empty = told(returning(), READ, messages=0)
    for phase in ("fail", "unknown"):
        passes(SURVIVES, renamed(empty, about("send", "ok"), phase=phase))
    passes(SURVIVES, told(empty, about("send", "invoke"), thread_id="t-2"))
    passes(SURVIVES, swapped(empty, about("send", "ok"), about("history", "invoke")))


def test_nobody_who_came_back_or_read() -> None:
    once = Story().login("user-1").connect("user-1").chat("user-1", "r-1").end()
    cannot_tell(SURVIVES, once, "0 reconnects")
    unread = inserted(once, about("chat", "ok"), "user-1", "connect", "ok", user_id=user("user-1"), last_seq=99)
    cannot_tell(SURVIVES, unread, "1 reconnect, and 0 threads read")
    for phase in ("fail", "unknown"):
        cannot_tell(SURVIVES, renamed(returning(), READ, phase=phase), "0 threads read")
        refused = renamed(returning(), about("connect", "ok", connection_id="c-2"), phase=phase)
        cannot_tell(SURVIVES, refused, "0 reconnects, and 0 threads")
    early = Story().login("user-1").connect("user-1").op("user-1", "history", told={"messages": 0}, thread_id="t-1")
    cannot_tell(SURVIVES, early.connect("user-1").end(), "1 reconnect, and 0 threads")
