from itertools import pairwise

import pytest

from netra_sim.backend.agents.machine import TABLE, IllegalTransition, check

ENDS = {"completed", "failed", "timeout", "dead", "cancelled"}
WAY = ["pending", "starting", "running", "completing", "completed"]


@pytest.mark.parametrize("before", TABLE)
@pytest.mark.parametrize("after", TABLE)
def test_the_table_decides(before: str, after: str):
    if after in TABLE[before]:
        assert check(before, after) == (before, after)
    else:
        with pytest.raises(IllegalTransition, match=f"{before} -> {after}"):
            check(before, after)


def test_the_way_to_an_answer_skips_nothing():
    for before, after in pairwise(WAY):
        assert TABLE[before] & set(WAY) == {after}


def test_every_open_state_can_end_and_no_ended_one_goes_on():
    for state, following in TABLE.items():
        assert following <= TABLE.keys()
        assert (not following) == (state in ENDS)
        if following:
            assert "dead" in following
