"""A tenant's log: seeded, each tenant's own, diurnal, heavy-tailed, and packed as it is."""

import struct
import uuid
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from netra_sim.kernel.rng import Rng
from netra_sim.users import workload
from netra_sim.users.persona import Profile, account

RNG = Rng(7).child("users")


def log(number: int = 1, rows: int = 5000, data: tuple[float, float, float] = (1, 0, 0)) -> workload.Log:
    who = account(RNG, number, Profile(data=data))
    return workload.log(RNG, who, workload.user_id(RNG, who), rows)


def test_a_log_depends_on_the_seed_and_its_tenant_alone():
    assert workload.packed(log()) == workload.packed(log())
    assert workload.packed(log()) != workload.packed(log(2))
    other = Rng(8).child("users")
    who = account(other, 1, Profile(data=(1, 0, 0)))
    assert not np.array_equal(workload.log(other, who, "x", 100).tokens_in, log(rows=100).tokens_in)


@pytest.mark.parametrize(
    ("data", "days"), [((1.0, 0.0, 0.0), 30), ((0.0, 1.0, 0.0), 15), ((0.0, 0.0, 1.0), 3)]
)  # fmt: skip
def test_the_kind_of_data_says_over_how_many_days_it_reaches(data: tuple[float, float, float], days: int):
    dates = {int(at) // 86_400 for at in log(data=data).at}
    assert len(dates) == days
    assert all(after == before + 1 for before, after in pairwise(sorted(dates)))


def test_days_have_their_hours_and_sizes_a_heavy_tail():
    many = log(rows=50_000)
    hours = Counter(int(at) % 86_400 // 3_600 for at in many.at)
    assert hours[10] > 5 * hours[3]
    middle, late = np.quantile(many.tokens_in, [0.5, 0.99])
    assert late > 8 * middle
    assert abs(float((many.outcome == 0).mean()) - 0.97) < 0.01


def test_every_call_costs_what_the_price_table_says():
    some = log(rows=200)
    for place, into, out, cost in zip(some.model, some.tokens_in, some.tokens_out, some.cost_nanos, strict=True):
        per_in, per_out = workload.PRICES[workload.MODELS[place]]
        assert int(cost) == int(into) * per_in + int(out) * per_out


def test_the_facts_are_the_sums_of_the_rows():
    some = log(rows=300)
    told = workload.facts(some)
    assert sum(model["requests"] for model in told["models"].values()) == 300
    assert sum(model["cost_nanos"] for model in told["models"].values()) == sum(map(int, some.cost_nanos))
    assert told["p95_ms"] == sorted(map(int, some.latency_ms))[285]
    simple = [n for n in range(300) if int(some.tokens_in[n]) + int(some.tokens_out[n]) <= workload.SIMPLE]
    assert sum(m["simple_in"] for m in told["models"].values()) == sum(int(some.tokens_in[n]) for n in simple)


def test_row_binary_holds_each_row_once():
    some, rest, rows = log(rows=50), workload.packed(log(rows=50)), []
    while rest:
        high, low, at = struct.unpack_from("<QQI", rest)
        model, rest = _text(rest[20:])
        own, rest = _text(rest)
        into, out, late, cost = struct.unpack_from("<IIIQ", rest)
        outcome, rest = _text(rest[20:])
        assert (str(uuid.UUID(int=high << 64 | low)), own) == (some.user_id, some.project)
        rows.append((at, model, into, out, late, cost, outcome))
    wanted = [
        (int(some.at[n]), workload.MODELS[some.model[n]], int(some.tokens_in[n]), int(some.tokens_out[n]),
         int(some.latency_ms[n]), int(some.cost_nanos[n]), workload.OUTCOMES[some.outcome[n]])
        for n in range(50)
    ]  # fmt: skip
    assert sorted(rows) == sorted(wanted)


def _text(data: bytes) -> tuple[str, bytes]:
    return data[1 : 1 + data[0]].decode(), data[1 + data[0] :]
