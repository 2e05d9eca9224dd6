"""Durations in bins: which operations are samples, and what is told of how many."""

from itertools import pairwise

import pytest

from netra_sim.reports import bins
from netra_sim.reports.frames import Point
from tests.unit.reports.sample_history import Tape


def point(seconds, outcome="ok", at=0.0, limit=1.0, **more):
    return Point(at, seconds, "chat", outcome, limit, **more)


def test_a_quick_failure_is_no_sample_and_a_late_one_is():
    late, quick = point(1.5, "fail"), point(0.1, "fail")
    waiting, abandoned = point(0.5, "unknown", ended=False), point(3.0, "unknown", abandoned=True)
    assert bins.samples([point(0.2), late, quick, waiting, abandoned]) == [point(0.2), late, waiting]
    assert [bins.over(p) for p in (point(1.0), late, waiting, point(9.0, limit=None))] == [False, True, True, False]


@pytest.mark.parametrize(("count", "p95"), [(999, None), (1000, 0.95)])
def test_percentiles_are_told_of_a_thousand_samples_and_more(count, p95):
    each = bins.spread([point((n + 1) / 1000) for n in range(count)])
    assert each is not None and each.count == count and each.p95 == p95
    assert each.low == 0.001 and each.high == count / 1000 and each.over == 0


def test_nothing_has_no_spread():
    assert bins.spread([]) is None


def test_a_limit_is_lent_to_operations_without_a_deadline():
    tape = Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    tape.op(1.0, 0.5, "user-1", "chat", "ok", {}, {})
    tape.op(2.0, 0.5, "user-1", "chat", "ok", {"deadline_s": 0.4}, {})
    assert [p.limit for p in bins.judged(tape.history(), "chat", 2.0)] == [2.0, 0.4]


def test_every_sample_is_in_one_step_of_time():
    found = [point(0.1 * n, at=n / 7) for n in range(1, 100)]
    binned = bins.over_time(found, found)
    assert sum(each.spread.count for each in binned if each.spread) == len(found) and len(binned) <= 31
    assert all(a.end == b.start for a, b in pairwise(binned))


def test_steps_grow_where_that_gives_each_a_percentile():
    found = [point(0.1, at=n / 1000) for n in range(12_000)]
    binned = bins.over_time(found, found)
    assert len(binned) <= 11 and all(each.spread and each.spread.p99 is not None for each in binned[1:-1])


def test_a_user_is_online_from_his_first_to_his_last_record():
    tape = Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    tape.op(0.1, 0.1, "lab", "start", "ok", {"what": "redis"}, {})
    tape.op(1.0, 1.0, "user-1", "chat", "ok", {}, {})
    tape.op(1.5, 0.2, "user-2", "chat", "ok", {}, {})
    tape.put(4.0, "user-2", "disconnected", "seen", {})
    tape.op(3.0, 0.5, "user-3", "chat", "ok", {}, {})
    history = tape.history()
    found = bins.judged(history, "chat")
    assert [(p.at, n) for p, n in zip(found, bins.online(history, found), strict=True)] == [
        (1.0, 1),
        (1.5, 2),
        (3.0, 2),
    ]


@pytest.mark.parametrize("most", [1, 7, 100, 130, 1000])
def test_bins_of_users_hold_every_number_up_to_the_most(most):
    users = list(range(1, most + 1))
    binned = bins.over_users(users, [point(n / 1000, limit=None) for n in users], most)
    assert sum(each.spread.count for each in binned if each.spread) == most and len(binned) <= 12
    for each in binned:
        assert each.spread and each.start <= each.spread.low * 1000 and each.spread.high * 1000 < each.end
