from hypothesis import given
from hypothesis import strategies as st

from netra_sim.checks.ledger import acknowledged_writes
from netra_sim.kernel.history import History
from tests.checks.story import Story, about, cannot_tell, convicts, good, passes, told, user, value_of, without

CHECK = acknowledged_writes()
GOOD = good()
ROWS = value_of(GOOD, about("messages"))["rows"]


def reading(history: History, rows: list[list[str]]) -> History:
    return told(history, about("messages"), rows=rows)


def sends(*outcomes: str, rows: list[list[str]]) -> History:
    story = Story().login("user-1")
    for n, outcome in enumerate(outcomes):
        story.op("user-1", "send", outcome, message_id=f"m-{n}")
    return reading(story.audit().end(), rows)


ROW = [user("user-1"), "m-0"]


def test_the_good_history_passes():
    told_ = passes(CHECK, GOOD).observed
    assert told_ == "All 4 acknowledged messages are stored exactly once; no other was sent."


def test_a_lost_message_is_convicted_in_plain_words():
    verdict = convicts(CHECK, reading(GOOD, ROWS[1:]), "1 of 4 acknowledged messages is missing, first at ")
    assert verdict.evidence[0]["message_id"] == "m-r-1"


@given(st.integers(0, len(ROWS) - 1))
def test_any_row_lost_doubled_moved_or_invented_is_convicted(n):
    convicts(CHECK, reading(GOOD, ROWS[:n] + ROWS[n + 1 :]), "missing")
    convicts(CHECK, reading(GOOD, [*ROWS, ROWS[n]]), "1 message is stored more than once")
    convicts(CHECK, reading(GOOD, [*ROWS, [ROWS[n][0], "m-x"]]), "1 stored message is of nobody")
    other = next(row[0] for row in ROWS if row[0] != ROWS[n][0])
    convicts(CHECK, reading(GOOD, [*ROWS[:n], [other, ROWS[n][1]], *ROWS[n + 1 :]]), "missing", "of nobody")


def test_an_unknown_send_may_be_there_or_not():
    rows = [ROW]
    assert "1 other message failed or got no answer" in passes(CHECK, sends("ok", "unknown", rows=rows)).observed
    passes(CHECK, sends("ok", "unknown", rows=[ROW, [ROW[0], "m-1"]]))


def test_a_message_that_nobody_sent_is_the_evidence():
    (facts,) = convicts(CHECK, reading(GOOD, [*ROWS, ["u-9", "m-9"]])).evidence
    assert (facts["user"], facts["message_id"]) == ("u-9", "m-9")


def test_no_send_may_be_there_twice():
    for outcome in ("ok", "fail", "unknown"):
        twice = [ROW, [ROW[0], "m-1"], [ROW[0], "m-1"]]
        convicts(CHECK, sends("ok", outcome, rows=twice), "1 message is stored more than once")
    assert "1 other message" in passes(CHECK, sends("ok", "fail", rows=[ROW, [ROW[0], "m-1"]])).observed


def test_a_message_sent_again_is_acknowledged_once_it_was_acknowledged():
    for other in ("unknown", "fail"):
        story = Story().login("user-1")
        for outcome in (other, "ok", other):
            story.op("user-1", "send", outcome, message_id="m-0")
        history = story.audit().end()
        passes(CHECK, reading(history, [ROW]))
        convicts(CHECK, reading(history, []), "1 of 1 acknowledged message is missing")


def test_what_was_acknowledged_just_as_the_store_was_read_must_be_in_it():
    history = Story(step=0).login("user-1").op("user-1", "send", message_id="m-0").audit().end()
    convicts(CHECK, reading(history, []), "1 of 1 acknowledged message is missing")


def test_what_was_acknowledged_after_the_reading_need_not_be_in_it():
    late = Story().login("user-1").op("user-1", "send", message_id="m-0").audit()
    late.op("user-1", "send", message_id="m-1")
    passes(CHECK, reading(late.end(), [ROW]))


def test_nothing_to_judge_is_unknown():
    cannot_tell(CHECK, without(GOOD, about("messages")), "not read")
    cannot_tell(CHECK, sends(rows=[]), "No message was acknowledged")
    cannot_tell(CHECK, sends("fail", rows=[]))
