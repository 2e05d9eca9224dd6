"""What cells show: tables that stay the same, figures with alternative texts."""

import pytest

from netra_sim.reports import tables
from netra_sim.reports.notebook import show
from netra_sim.reports.result import Result
from tests.unit.reports import sample, sample_history


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = sample.write_run(tmp_path_factory.mktemp("runs"), sample.result(), notebook=False, users=4)
    sample_history.history(users=4, gauges=True, cold=True).save(folder / "history.jsonl")
    return show(Result.load(folder))


def bundle(shown):
    data, metadata = shown._repr_mimebundle_()
    return data["text/html"], data["text/plain"], metadata.get("netra_sim", {}).get("part")


def test_verdicts_show_nothing_that_a_rerun_would_change(view, tmp_path):
    html, text, part = bundle(view.verdicts())
    assert part == "checks" and "✓ pass" in html and "acknowledged-writes" in text
    again = sample.result(seconds=99.0, started="2027-01-01T00:00:00+00:00")
    again["checks"] = [{**check, "observed": "something else"} for check in again["checks"]]
    assert bundle(show(Result(again, tmp_path)).verdicts()) == (html, text, part)


def test_a_result_shows_its_verdicts(view):
    assert repr(view.result) == repr(view.verdicts())
    assert view.result._repr_html_() == bundle(view.verdicts())[0]


def test_controls_say_what_was_broken_and_suffered(view):
    html, text, _ = bundle(view.controls())
    assert "Without deadline" in html and sample.SUFFERED["recovery"] in html
    assert "With the defect event sent twice" in text


def test_a_control_that_convicts_nothing_says_so(tmp_path):
    text = repr(show(Result(sample.failing(), tmp_path)).controls())
    assert "NO" in text and "no check noticed" in text


@pytest.mark.parametrize("name", ["latency", "throughput", "sequence", "quantiles", "states", "waterfall", "users"])
def test_a_figure_is_an_image_with_an_alternative_text(view, name):
    html, text, part = bundle(getattr(view, name)())
    assert part == f"figure-{name}"
    assert html.startswith('<img alt="') and "data:image/svg+xml;base64," in html
    assert len(text) > 60


def test_another_figure_than_the_pages_has_no_place_there(view):
    assert bundle(view.compare("no-deadline"))[2] == "compare-no-deadline"
    assert bundle(view.compare("no-deadline", "history"))[2] is None
    assert bundle(view.sequence("user-1-r1"))[2] is None
    assert bundle(view.quantiles("send"))[2] is None
    assert bundle(view.users(view.result))[2] is None


def test_a_comparison_tells_what_the_protection_cost_and_saved(view):
    html, text, _ = bundle(view.compare("no-deadline"))
    assert html.startswith('<img alt="') and "<table>" in html
    for told in ("What it saved", "Without deadline", "the 4 users that are in both runs"):
        assert told in html and told in text


def test_runbook_and_provenance(view):
    assert repr(view.runbook()).startswith("1. Alert")
    assert "<code>store_unavailable</code>" in bundle(view.runbook())[0]
    assert sample.result()["command"] in bundle(view.provenance())[0]
    assert "PostgreSQL 18.6" in repr(view.provenance())


def test_text_from_a_run_is_escaped(tmp_path):
    data = sample.result(checks=[sample.check("a<b", expected="<script>alert(1)</script>")])
    html, _, _ = bundle(show(Result(data, tmp_path)).verdicts())
    assert "<script>" not in html and "a&lt;b" in html


@pytest.mark.parametrize(
    ("control", "label"),
    [
        ({"name": "x", "without": ["outbox", "retry_budget"]}, "Without outbox and retry budget"),
        ({"name": "x", "defect": "netra_sim.defects:canary_leaked"}, "With the defect canary leaked"),
        ({"name": "slow-edge", "setting": {"latency on edge": {"latency": 450}}}, "Slow edge"),
    ],
)
def test_a_control_is_named_in_words(control, label):
    assert tables.control_label(control) == label
