from hypothesis import given
from hypothesis import strategies as st

from netra_sim.checks.isolation import isolated
from netra_sim.kernel.history import History
from tests.checks.story import about, cannot_tell, convicts, good, passes, told, user, without

CHECK = isolated()
GOOD = good()
FRAMES = sorted({(r.actor, r.value["seq"]) for r in GOOD.seen("frame")}, key=str)


def test_the_good_history_passes():
    passes(CHECK, GOOD)


@given(st.sampled_from(FRAMES))
def test_any_frame_with_a_foreign_canary_or_id_is_convicted(which):
    actor, seq = which
    where = about("frame", actor=actor, seq=seq)
    convicts(CHECK, told(GOOD, where, foreign=["canary-of-another"]), "1 leak in ")
    stranger = user("user-2" if actor != "user-2" else "user-3")
    verdict = convicts(CHECK, told(GOOD, where, user_id=stranger), "1 leak in ")
    assert verdict.evidence[0]["problem"] == "another's user id"


def test_a_foreign_row_is_convicted():
    rows = [{"table": "messages", "id": "m-1"}]
    (facts,) = convicts(CHECK, told(GOOD, about("foreign_rows"), rows=rows)).evidence
    assert facts["row"] == rows[0]
    assert facts["t"] > 0


def test_one_user_alone_proves_nothing():
    alone = History(r for r in GOOD.records if r.f != "frame" or r.actor == "user-1")
    cannot_tell(CHECK, alone, "Only 1 user")
    convicts(CHECK, told(alone, about("frame"), foreign=["canary-of-another"]))


def test_two_users_are_enough():
    passes(CHECK, History(r for r in GOOD.records if r.f != "frame" or r.actor != "user-3"))


def test_three_canaries_of_a_frame_are_told():
    (facts,) = convicts(CHECK, told(GOOD, about("frame"), foreign=["a", "b", "c", "d"])).evidence
    assert facts["foreign"] == ["a", "b", "c"]


def test_rows_that_nobody_searched_are_unknown():
    cannot_tell(CHECK, without(GOOD, about("foreign_rows")), "not searched")
