import pytest

from netra_sim.checks.thread import answers_readable
from netra_sim.kernel.history import History
from tests.checks.answered import answered, rows
from tests.checks.story import about, cannot_tell, convicts, passes, renamed, swapped, told, user, without

CHECK = answers_readable()
GOOD = answered()
READ = about("history", "ok", actor="user-1")


def changed(run, **fields):
    return rows(GOOD, "answers", lambda of: [{**row, **fields} if row["run_id"] == run else row for row in of])


def test_the_good_history_is_readable():
    assert "All 4 answers" in passes(CHECK, GOOD).observed


@pytest.mark.parametrize("run", ["r-1", "r-2", "r-3", "r-4"])
def test_an_answer_that_is_not_stored_is_convicted(run):
    gone = rows(GOOD, "answers", lambda of: [row for row in of if row["run_id"] != run])
    (facts,) = convicts(CHECK, gone, "1 of 4 answers", "is not stored", run).evidence
    assert (facts["run_id"], facts["thread_id"]) == (run, "t-1")


def test_an_answer_in_the_wrong_place_or_empty_is_convicted():
    for other in ("t-0", "t-2"):
        convicts(CHECK, changed("r-2", thread_id=other), "in another thread", "r-2")
    for stranger in ("", user("user-1"), "z"):
        convicts(CHECK, changed("r-2", user_id=stranger), "for another user", "r-2")
    convicts(CHECK, changed("r-2", text=" "), "answer is empty", "r-2")
    convicts(CHECK, changed("r-2", text=None), "answer is empty", "r-2")


def test_a_later_read_that_does_not_list_the_answer_is_convicted():
    convicts(CHECK, told(GOOD, READ, runs=[]), "1 of 4 answers", "a later read", "r-1")
    convicts(CHECK, told(GOOD, READ, runs=["r-2"]), "a later read", "r-1")
    whole = renamed(GOOD, READ, value={"status": 200, "runs": []})
    convicts(CHECK, whole, "a later read", "r-1")
    answer = next(r for r in GOOD.records if about("chat", "ok", actor="user-1")(r))
    convicts(CHECK, renamed(whole, about("history", "invoke", actor="user-1"), t=answer.t), "a later read", "r-1")


def test_a_read_that_shows_the_first_page_alone_is_not_held_against_it():
    more = told(GOOD, READ, runs=[], more=True)
    assert "3 were read again" in passes(CHECK, more).observed
    passes(CHECK, told(GOOD, READ, more=True))


def test_a_read_before_the_answer_of_another_thread_or_in_vain_is_not_held_against_it():
    empty = told(GOOD, READ, runs=[])
    passes(CHECK, swapped(empty, about("history", "invoke", actor="user-1"), about("chat", "ok", actor="user-1")))
    passes(CHECK, told(empty, about("history", "invoke", actor="user-1"), thread_id="t-2"))
    passes(CHECK, renamed(empty, READ, phase="fail"))
    passes(CHECK, renamed(empty, READ, phase="unknown"))
    told_ = passes(CHECK, without(empty, READ)).observed
    assert "3 were read again" in told_


def test_chats_that_did_not_end_well_are_not_judged():
    gone = rows(GOOD, "answers", lambda of: [row for row in of if row["run_id"] != "r-2"])
    for phase in ("fail", "unknown"):
        passes(CHECK, renamed(gone, about("chat", "ok", actor="user-2"), phase=phase))
    passes(CHECK, without(gone, about("chat", "ok", actor="user-2")))


def test_nothing_to_judge_is_unknown():
    cannot_tell(CHECK, without(GOOD, about("answers")), "not read")
    cannot_tell(CHECK, History(r for r in GOOD.records if r.f != "chat"), "No chat")
    unread = History(r for r in GOOD.records if r.f != "history")
    cannot_tell(CHECK, unread, "No thread was read after its answer", "4 answers stood")
    convicts(CHECK, rows(unread, "answers", lambda of: of[1:]), "is not stored")
