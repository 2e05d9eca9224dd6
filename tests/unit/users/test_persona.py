"""Plans of simulated users: seeded, independent of each other, within their profile."""

import uuid
from collections import Counter
from dataclasses import replace

import pytest

from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.rng import Rng
from netra_sim.users.persona import LONGEST, PROBES, SHORTEST, Profile, ReadHistory, Say, account, persona

BUSY = Profile(messages=(2, 5), drop=0.5, history=0.5, probe=0.5, signup=0.5, logout=0.5, threads=2)


def says(profile: Profile = BUSY, users: int = 200, seed: int = 7) -> list[Say]:
    plans = [persona(Rng(seed), n, profile) for n in range(1, users + 1)]
    return [intent for plan in plans for intent in plan.intents if isinstance(intent, Say)]


def test_a_plan_depends_on_seed_and_number_alone():
    assert persona(Rng(7), 3, BUSY) == persona(Rng(7), 3, BUSY)
    assert persona(Rng(7), 3, BUSY) != persona(Rng(8), 3, BUSY)
    assert persona(Rng(7), 3, BUSY) != persona(Rng(7), 4, BUSY)


def test_accounts_differ_in_all_but_the_password():
    who = [account(Rng(7), n, BUSY) for n in range(1, 501)]
    assert len({w.email for w in who}) == len({w.canary for w in who}) == 500
    assert len({w.password for w in who}) == 1
    assert who[0].name == "user-1"
    assert who[0].email == who[0].email.lower()


def test_texts_are_tagged_bounded_and_carry_the_canary():
    for plan in (persona(Rng(7), n, Profile(longest=LONGEST)) for n in range(1, 201)):
        for intent in plan.intents:
            if isinstance(intent, Say):
                assert intent.text.startswith(f"[data:{plan.account.data}]")
                assert SHORTEST <= len(intent.text) <= LONGEST
                assert plan.account.canary in intent.text


def test_a_text_is_cut_at_the_longest():
    lengths = [len(said.text) for said in says(Profile(longest=150))]
    assert max(lengths) == 150


def test_kinds_follow_their_shares():
    profile = Profile(data=(0.6, 0.3, 0.1), signup=0.0)
    kinds = Counter(persona(Rng(7), n, profile).account.data for n in range(1, 1001))
    assert kinds["full"] == pytest.approx(600, rel=0.1)
    assert kinds["partial"] == pytest.approx(300, rel=0.2)


def test_who_signs_up_has_no_data_yet():
    plans = [persona(Rng(7), n, BUSY) for n in range(1, 101)]
    assert {plan.account.data for plan in plans if plan.signs_up} == {"none"}
    assert {plan.account.data for plan in plans if not plan.signs_up} == {"full", "partial", "none"}


def test_ids_are_uuids_used_once_and_threads_belong_to_one_user():
    said = says()
    assert len({s.message_id for s in said}) == len(said)
    assert {uuid.UUID(s.message_id).version for s in said} == {4}
    plans = [persona(Rng(7), n, BUSY) for n in range(1, 51)]
    threads = [{i.thread_id for i in plan.intents} for plan in plans]
    assert sum(map(len, threads)) == len(set().union(*threads))


def test_users_read_the_thread_they_wrote_to_and_drop_in_time():
    for plan in (persona(Rng(7), n, BUSY) for n in range(1, 101)):
        for before, intent in zip(plan.intents, plan.intents[1:], strict=False):
            if isinstance(intent, ReadHistory):
                assert intent.thread_id == before.thread_id
    drops = [said.drop_after_s for said in says()]
    assert 0.4 < sum(d is not None for d in drops) / len(drops) < 0.6
    assert all(0 <= d <= BUSY.drop_within_s for d in drops if d is not None)


def test_both_ways_and_all_probes_occur():
    plans = [persona(Rng(7), n, BUSY) for n in range(1, 101)]
    assert {plan.via for plan in plans} == {"header", "subprotocol"}
    assert {plan.probes for plan in plans} == {(), PROBES}
    assert {(p.via, p.token) for p in PROBES} == {
        (v, t) for v in ("header", "subprotocol") for t in ("none", "tampered")
    }


@pytest.mark.parametrize(
    ("field", "value"), [("messages", (3, 1)), ("longest", 20_000), ("threads", 0), ("drop", 1.5), ("probe", -1)]
)
def test_a_wrong_profile_is_refused_by_the_name_of_its_field(field: str, value: object):
    with pytest.raises(BadValue) as refused:
        Profile(**{field: value})  # type: ignore[arg-type]
    assert refused.value.facts["field"] == field


def test_some_ask_in_bursts_and_some_leave_before_their_last_answer():
    hasty = Profile(messages=(3, 5), burst=0.3, abandon=0.2, abandon_within_s=1.5)
    plans = [[i for i in persona(Rng(7), n, hasty).intents if isinstance(i, Say)] for n in range(1, 201)]
    assert 0.2 < sum(said.burst for plan in plans for said in plan) / sum(map(len, plans)) < 0.4
    left = [plan for plan in plans if any(said.abandon_after_s is not None for said in plan)]
    assert 40 < len(left) < 160
    assert all(0 <= (plan[-1].abandon_after_s or 0) <= 1.5 for plan in left)
    assert all(said.abandon_after_s is None for plan in left for said in plan[:-1])
    calm = [replace(said, burst=False) for said in says(Profile(messages=(3, 5), burst=0.3))]
    assert calm == says(Profile(messages=(3, 5))), "the other draws stay as they are"
