"""Clients that come back: how they wait, and what they find."""

from collections.abc import Sequence

from netra_sim.checks.reconnect import backs_off, session_survives
from netra_sim.kernel.history import History
from tests.checks.story import Story, about, cannot_tell, convicts, inserted, passes, told, user

WAITS, SURVIVES = backs_off(), session_survives()
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
    passes(WAITS, waiting())
    cannot_tell(WAITS, waiting(users=3), "Only 15 reconnects")
    cannot_tell(WAITS, waiting(SHARES[:2], users=12), "0 after two failures")


def test_clients_that_come_at_once_in_step_or_too_early() -> None:
    convicts(WAITS, waiting([0.0] * 5), "0 % of its doubling bound")
    convicts(WAITS, waiting([1.0] * 5), "100 %")
    convicts(WAITS, waiting([0.5] * 5), "spread by 0 %")
    convicts(WAITS, waiting(early=0.01), "30 came before their time")
    passes(WAITS, waiting(early=0.001))  # a timer is no more exact


def test_a_wait_that_does_not_grow() -> None:
    convicts(WAITS, waiting((0.9, 0.8, 0.9, 1.0, 1.0), doubling=False), "after two failures")


def returning() -> History:
    """A user asks, loses the connection, comes back and reads his thread."""
    story = Story().login("user-1").connect("user-1").chat("user-1", "r-1")
    story.seen("user-1", "disconnected", connection="c-1", code=1006).connect("user-1")
    read = {"status": 200, "messages": 2}
    return story.op("user-1", "history", told=read, thread_id="t-1", deadline_s=1.0).end()


def test_who_comes_back_finds_everything_as_it_was_left() -> None:
    passes(SURVIVES, returning())


def test_a_stranger_a_shorter_stream_and_a_lost_message() -> None:
    again = about("connect", "ok", connection_id="c-2")
    convicts(SURVIVES, told(returning(), again, user_id=user("user-2")), "another user")
    convicts(SURVIVES, told(returning(), again, last_seq=0), "a shorter stream")
    convicts(SURVIVES, told(returning(), about("history", "ok"), messages=0), "messages missing")


def test_nobody_who_came_back_or_read() -> None:
    once = Story().login("user-1").connect("user-1").chat("user-1", "r-1").end()
    cannot_tell(SURVIVES, once, "0 reconnects")
    unread = inserted(once, about("chat", "ok"), "user-1", "connect", "ok", user_id=user("user-1"), last_seq=99)
    cannot_tell(SURVIVES, unread, "1 reconnect, and 0 threads read")
