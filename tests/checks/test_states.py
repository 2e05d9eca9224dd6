from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.checks.states import LEGAL, chain_problem, legal_transitions
from tests.checks.story import CHAIN, Story, about, cannot_tell, convicts, good, inserted, passes, told, twice, without

CHECK = legal_transitions()
TERMINAL = {state for state, after in LEGAL.items() if not after}


def test_the_good_history_is_legal():
    assert "All 4 runs" in passes(CHECK, good()).observed


BAD_CHAINS = {
    "a step is missing": (CHAIN[:1] + CHAIN[2:], "a step from running follows state starting"),
    "the first step is missing": (CHAIN[1:], "a step from starting follows state pending"),
    "the last step is missing": (CHAIN[:-1], "never left completing"),
    "a step stands twice": (CHAIN[:2] + CHAIN[1:], "a step from starting follows state running"),
    "a step is skipped": ([["pending", "running"]], "pending may not become running"),
    "it goes back": ([*CHAIN[:2], ["running", "pending"]], "running may not become pending"),
    "it rises from the dead": ([["pending", "dead"], ["dead", "running"]], "dead may not become running"),
    "a state nobody knows": ([["pending", "lost"]], "pending may not become lost"),
    "another end than its row": ([*CHAIN[:3], ["completing", "failed"]], "ends in failed, its row says completed"),
    "an end before its row's by name": ([*CHAIN[:2], ["running", "cancelled"]], "in cancelled, its row says completed"),
    "an empty chain": ([], "no stored chain"),
}


@pytest.mark.parametrize("case", BAD_CHAINS)
def test_a_bad_chain_is_convicted(case):
    chain, words = BAD_CHAINS[case]
    convicts(CHECK, told(good(), about("transitions", run_id="r-2"), chain=chain), "1 of 4 runs", words, "r-2")


def test_a_run_without_a_chain_is_convicted():
    convicts(CHECK, without(good(), about("transitions", run_id="r-3")), "no stored chain", "r-3")


def test_only_the_auditors_chains_count():
    where = about("foreign_rows")
    for actor in ("aide", "zealot"):
        passes(CHECK, inserted(good(), where, actor, "transitions", "seen", run_id="r-2", chain=CHAIN[:2]))


def test_a_chain_without_a_run_is_convicted():
    stranger = told(twice(good(), about("transitions", run_id="r-3")), about("transitions", run_id="r-3"), run_id="r-9")
    convicts(CHECK, stranger, "1 of 5 runs", "not in the runs table")


def test_nothing_to_judge_is_unknown():
    cannot_tell(CHECK, without(good(), about("runs")), "not read")
    cannot_tell(CHECK, Story().audit().end(), "no run")


@st.composite
def walks(draw):
    """A legal walk from pending to a terminal state."""
    chain, state = [], "pending"
    while LEGAL[state]:
        after = draw(st.sampled_from(sorted(LEGAL[state])))
        chain.append([state, after])
        state = after
    return chain


@given(walks())
def test_every_legal_walk_is_legal(chain):
    assert chain_problem(chain, chain[-1][1]) is None


@given(walks(), st.data())
def test_a_walk_with_one_step_removed_doubled_or_swapped_is_illegal(chain, data):
    n = data.draw(st.integers(0, len(chain) - 1))
    status = chain[-1][1]
    assert chain_problem(chain[:n] + chain[n + 1 :], status)
    assert chain_problem(chain[: n + 1] + chain[n:], status)
    if n:
        assert chain_problem([*chain[: n - 1], chain[n], chain[n - 1], *chain[n + 1 :]], status)


@given(st.lists(st.tuples(st.sampled_from(sorted(LEGAL)), st.sampled_from(sorted(LEGAL))), max_size=6))
def test_only_walks_over_the_table_that_end_are_legal(chain):
    joined = all(a[1] == b[0] for a, b in pairwise(chain))
    legal = bool(chain) and chain[0][0] == "pending" and joined and all(b in LEGAL[a] for a, b in chain)
    status = chain[-1][1] if chain else "pending"
    assert (chain_problem(chain, status) is None) == (legal and status in TERMINAL)
