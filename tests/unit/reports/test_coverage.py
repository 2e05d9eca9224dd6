"""When a line of the catalogue is proven, failed or open."""

import tomllib
from importlib import resources

import pytest

from netra_sim.reports import coverage
from tests.unit.reports import sample

CATALOGUE = {
    "row": [
        {"id": "A-1", "title": "One", "group": "data", "must_show": ["first", "second"], "mrr": 15},
        {"id": "A-2", "title": "Two", "group": "data", "must_show": ["only"], "tier": "t", "tier_mrr": 20},
        {
            "id": "B-1", "title": "Same", "group": "auth", "must_show": [], "same_as": ["A-1", "B-2"],
            "tier": "t", "tier_mrr": 20,
        },
        {"id": "B-2", "title": "Again", "group": "auth", "must_show": [], "same_as": ["A-2"]},
    ]
}  # fmt: skip


def scenario(name, *checks, convicted=()):
    controls = [{"name": control, "failed": list(failed)} for control, failed in dict(convicted).items()]
    return {"scenario": name, "checks": list(checks), "controls": controls}


def states(*results):
    return {key: line["state"] for key, line in coverage.coverage(CATALOGUE, results).items()}


@pytest.mark.parametrize(
    ("outcome", "wanted", "convicted", "state"),
    [
        ("pass", ["k"], {"k": ["c"]}, "proven"),
        ("pass", ["k", "l"], {"k": ["c"], "l": ["c"]}, "proven"),
        ("pass", ["k", "l"], {"k": ["c"], "l": ["other"]}, "open"),
        ("pass", ["k"], {}, "open"),
        ("pass", [], {"k": ["c"]}, "open"),
        ("unknown", ["k"], {"k": ["c"]}, "open"),
        ("fail", ["k"], {"k": ["c"]}, "failed"),
        ("fail", [], {}, "failed"),
    ],
)
def test_a_line_by_one_check(outcome, wanted, convicted, state):
    result = scenario("s", sample.check("c", outcome, ["A-1.1"], wanted), convicted=convicted)
    assert states(result)["A-1.1"] == state


def test_every_check_that_names_a_line_counts_also_in_another_scenario():
    good = scenario("s", sample.check("c", "pass", ["A-1.1"], ["k"]), convicted={"k": ["c"]})
    weak = scenario("t", sample.check("d", "pass", ["A-1.1"], ["k"]), convicted={"k": []})
    bad = scenario("u", sample.check("e", "fail", ["A-1.1"], ["k"]))
    assert states(good)["A-1.1"] == "proven"
    assert states(good, weak)["A-1.1"] == "open"
    assert states(good, weak, bad)["A-1.1"] == "failed"
    assert coverage.coverage(CATALOGUE, [weak, good])["A-1.1"]["scenarios"] == ["s", "t"]


def test_a_run_without_some_control_proves_nothing_by_itself_and_unproves_nothing():
    check = sample.check("c", "pass", ["A-1.1"], ["k", "l"])
    smoke, weak = scenario("s", check, convicted={"k": ["c"]}), scenario("s", check, convicted={"k": []})
    full = scenario("s", check, convicted={"k": ["c"], "l": ["c"]})
    assert states(smoke)["A-1.1"] == "open"
    assert states(smoke, full)["A-1.1"] == "proven"
    assert states(weak, full)["A-1.1"] == "open"
    other = scenario("s", sample.check("d", "pass", ["A-1.1"], ["m"]))
    assert states(full, other)["A-1.1"] == "open"


def test_an_alias_has_its_own_key_and_follows_its_rows():
    one = scenario("s", sample.check("c", "pass", ["A-1.1", "A-1.2"], ["k"]), convicted={"k": ["c"]})
    two = scenario("t", sample.check("d", "pass", ["A-2.1"], ["k"]), convicted={"k": ["d"]})
    assert list(states()) == ["A-1.1", "A-1.2", "A-2.1", "B-1", "B-2"]
    assert states(one)["B-1"] == "open"
    assert states(one, two)["B-1"] == states(one, two)["B-2"] == "proven"
    assert states(scenario("t", sample.check("d", "fail", ["A-2.1"])))["B-1"] == "failed"


def test_revenue_is_shared_in_a_tier_and_protected_by_whole_rows():
    half = scenario("s", sample.check("c", "pass", ["A-1.1", "A-2.1"], ["k"]), convicted={"k": ["c"]})
    rows = coverage.rows(CATALOGUE, coverage.coverage(CATALOGUE, [half]))
    assert [row.revenue for row in rows] == [15, 10, 10, None]
    a, b = coverage.tallies(rows, "source")
    assert (a.rows, a.proven_rows, a.lines, a.proven, a.revenue, a.protected) == (2, 1, 3, 2, 25, 10)
    assert (b.rows, b.proven_rows, b.lines) == (2, 1, 0)
    assert [row.standing for row in rows] == ["partly", "proven", "partly", "proven"]
    assert a.shares == {"proven": 10, "partly": 15, "failed": 0, "open": 0}
    assert b.shares == {"proven": 0, "partly": 10, "failed": 0, "open": 0}


def test_revenue_is_at_risk_when_a_check_of_any_line_failed():
    bad = scenario("s", sample.check("c", "pass", ["A-1.1"], ["k"]), sample.check("d", "fail", ["A-1.2"]),
                   convicted={"k": ["c"]})  # fmt: skip
    rows = coverage.rows(CATALOGUE, coverage.coverage(CATALOGUE, [bad]))
    a, b = coverage.tallies(rows, "source")
    assert a.shares == {"proven": 0, "partly": 0, "failed": 15, "open": 10}
    assert b.shares == {"proven": 0, "partly": 0, "failed": 10, "open": 0}


def test_the_catalogue_itself_has_a_key_for_every_line():
    text = (resources.files("netra_sim.scenarios") / "requirements.toml").read_text()
    catalogue = tomllib.loads(text)
    covered = coverage.coverage(catalogue, [])
    expected = [
        key
        for row in catalogue["row"]
        for key in ([row["id"]] if "same_as" in row else [f"{row['id']}.{n + 1}" for n in range(len(row["must_show"]))])
    ]
    assert list(covered) == expected and {line["state"] for line in covered.values()} == {"open"}
