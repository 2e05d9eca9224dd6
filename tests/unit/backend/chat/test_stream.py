from hypothesis import given
from hypothesis import strategies as st

from netra_sim.backend.chat.stream import Cursor


@given(st.data(), st.integers(1, 12), st.integers(0, 12))
def test_any_order_of_arrival_with_duplicates_and_losses_is_exactly_once_in_order(data: st.DataObject, n: int, at: int):
    """Frames 1..n arrive in any order, some twice, some never; now and then the store is asked."""
    resumed_at = min(at, n)
    cursor, sent = Cursor(), []
    arrivals = data.draw(st.lists(st.integers(1, n), max_size=3 * n))
    resume_when = data.draw(st.integers(0, len(arrivals)))

    def replay() -> None:
        for seq in range((cursor.position or 0) + 1, n + 1):
            if cursor.offer(seq) == "send":
                sent.append(seq)

    for turn, seq in enumerate(arrivals):
        if turn == resume_when:
            cursor.resume(resumed_at)
        if cursor.offer(seq) == "send":
            sent.append(seq)
        if cursor.behind and data.draw(st.booleans()):
            replay()
    if cursor.position is None:
        cursor.resume(resumed_at)
    cursor.wanted = max(cursor.wanted, n)
    if cursor.behind:
        replay()
    assert sent == list(range(resumed_at + 1, n + 1))
    assert not cursor.behind


def test_before_resume_nothing_is_sent_but_what_came_is_known():
    cursor = Cursor()
    assert cursor.offer(3) == "drop"
    assert not cursor.behind
    cursor.resume(2)
    assert cursor.behind


def test_moves():
    cursor = Cursor()
    cursor.resume(5)
    assert [cursor.offer(seq) for seq in (5, 6, 6, 9, 7, 8, 9)] == [
        "drop",
        "send",
        "drop",
        "gap",
        "send",
        "send",
        "send",
    ]
    assert (cursor.position, cursor.wanted, cursor.behind) == (9, 9, False)
