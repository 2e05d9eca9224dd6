import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.checks.figures import figures_recomputed, recomputed
from netra_sim.kernel.history import History
from tests.checks.answered import CHEAPER, COST, MODELS, PRICES, SAVINGS, answered, dropped, result, rows, run_row
from tests.checks.story import about, cannot_tell, convicts, passes, told, user, without

CHECK = figures_recomputed()
GOOD = answered()
WORKLOAD = about("workload", user_id=user("user-1"))
FIGURES = [
    ("data", "total_cost", COST, 1e-6),
    ("data", "p95_latency_ms", 2150, 0),
    ("optimization", "savings", SAVINGS, 1e-6),
    ("optimization", "improvement_percent", 100 * SAVINGS / COST, 1e-3),
    ("supervisor", "savings", SAVINGS, 1e-6),
    ("supervisor", "improvement_percent", 100 * SAVINGS / COST, 1e-3),
]


def test_right_figures_pass():
    # Two each of data, optimization and answer in the first run, data's two in the second.
    assert "8 stated figures of 2 runs" in passes(CHECK, GOOD).observed


def test_the_recomputation_is_that_of_the_log():
    log = {"models": MODELS, "prices": PRICES, "cheaper": CHEAPER, "p95_ms": 2150}
    figures = recomputed(log)
    assert list(figures.values()) == pytest.approx([COST, 2150, SAVINGS, 100 * SAVINGS / COST], abs=1e-12)
    assert set(recomputed({}).values()) == {0}
    assert recomputed({**log, "models": {"small": MODELS["small"]}})["savings"] == 0


@pytest.mark.parametrize(("agent", "name", "right", "tolerance"), FIGURES)
def test_a_figure_may_be_off_by_its_rounding_and_no_more(agent, name, right, tolerance):
    passes(CHECK, result(GOOD, "r-1", agent, lambda said: {**said, name: right + 0.99 * tolerance}))
    passes(CHECK, result(GOOD, "r-1", agent, lambda said: {**said, name: right - 0.99 * tolerance}))
    for off in (1.01 * tolerance or 1, -1.01 * tolerance or -1):
        wrong = result(GOOD, "r-1", agent, lambda said, off=off: {**said, name: right + off})
        convicts(CHECK, wrong, "1 fault", f"{agent} says {name}")


@pytest.mark.parametrize("value", [None, "97.75", True, float("nan")])
def test_a_figure_that_is_no_number_is_convicted(value):
    convicts(CHECK, result(GOOD, "r-1", "data", lambda said: {**said, "total_cost": value}), repr(value))


@given(st.sampled_from(sorted(MODELS)), st.sampled_from(["tokens_in", "tokens_out", "cost_nanos"]), st.integers(1, 99))
def test_a_log_whose_cost_is_not_its_tokens_cost_is_convicted(model, sums, by):
    models = {**MODELS, model: {**MODELS[model], sums: MODELS[model][sums] + by}}
    convicts(CHECK, told(GOOD, WORKLOAD, models=models), f"the log says {model} cost")


def test_savings_by_another_price_are_convicted():
    prices = {**PRICES, "medium": [2_000, 9_000]}
    stale = recomputed({"models": MODELS, "prices": prices, "cheaper": CHEAPER, "p95_ms": 2150})
    convicts(CHECK, result(GOOD, "r-1", "optimization", lambda said: {**said, "savings": stale["savings"]}), "savings")


def test_figures_of_a_tenant_without_a_log_are_convicted():
    convicts(CHECK, without(GOOD, WORKLOAD), "data says total_cost 97.75, the log gives 0")


@pytest.mark.parametrize(
    ("agent", "kept_by", "name"), [("optimization", "supervisor", "savings"), ("data", "data", "p95_latency_ms")]
)
def test_a_whole_answer_without_its_figures_must_say_so(agent, kept_by, name):
    lacking = result(GOOD, "r-1", kept_by, None if kept_by == agent else dropped("savings", "improvement_percent"))
    convicts(CHECK, lacking, f"{name} and does not say that {agent} is missing" if agent == "data" else "lacks savings")
    passes(CHECK, result(lacking, "r-1", "supervisor", lambda said: {**said, "missing": [agent]}))
    for status in ("cancelled", "failed"):
        passes(CHECK, run_row(lacking, "r-1", status=status))
    convicts(CHECK, rows(lacking, "runs", reversed), f"does not say that {agent} is missing")
    convicts(CHECK, result(lacking, "r-1", "supervisor", lambda said: {**said, "missing": ["actions"]}), agent)


def test_the_data_agent_must_state_its_figures_in_a_partial_answer_too():
    lacking = result(GOOD, "r-2", "data", dropped("p95_latency_ms"))
    convicts(CHECK, lacking, "data says p95_latency_ms None")


def test_a_completed_run_without_a_stored_answer_is_convicted():
    convicts(CHECK, result(GOOD, "r-1", "supervisor", None), "run r-1 lacks savings and improvement_percent")


def test_nothing_to_judge_is_unknown():
    cannot_tell(CHECK, without(GOOD, about("checkpoints")), "not read")
    cannot_tell(CHECK, without(GOOD, about("runs")), "not read")
    cannot_tell(CHECK, History(r for r in GOOD.records if r.f != "workload"), "No tenant's log")
    silent = rows(GOOD, "checkpoints", lambda of: [row for row in of if row["run_id"] in ("r-3", "r-4")])
    cannot_tell(CHECK, run_row(silent, "r-1", status="failed"), "states a figure")
