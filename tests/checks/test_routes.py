import pytest

from netra_sim.checks.routes import routes_follow_data
from netra_sim.kernel.history import History
from tests.checks.answered import ASKED, answered, rows, run_row
from tests.checks.story import about, cannot_tell, convicts, passes, renamed, restored, told, user, without

CHECK = routes_follow_data()
GOOD = answered()
OWNERS = {run: actor for actor, (run, _) in ASKED.items()}


def altered(history: History, run: str, type_: str, agent: str, /, **fields: str) -> History:
    """The event says something else, to its user and in the store."""
    actor = OWNERS[run]
    places = {"type": 3, "agent": 4}

    def change(events):
        for row in events:
            if (row[1], row[3], row[4]) == (run, type_, agent):
                for key, value in fields.items():
                    row[places[key]] = value
            yield row

    changed = restored(history, actor, change)
    return told(changed, about("frame", actor=actor, type=type_, agent=agent), **fields)


def test_the_good_history_takes_every_route():
    told_ = passes(CHECK, GOOD).observed
    assert "All 4 completed runs" in told_
    assert "1 sufficient, 1 partial, 1 insufficient, 1 unknown" in told_


def test_an_unknown_completeness_need_not_occur():
    passes(CHECK, run_row(GOOD, "r-4", status="failed"))


@pytest.mark.parametrize("run", OWNERS)
def test_any_other_route_than_the_datas_is_convicted(run):
    for route in ("sufficient", "partial", "insufficient", None, "scenic"):
        if route != {"r-1": "sufficient", "r-2": "partial"}.get(run, "insufficient"):
            convicts(CHECK, run_row(GOOD, run, route=route), "1 of 4 completed runs", f"took the route {route}", run)


@pytest.mark.parametrize(("actor", "data"), [("user-1", "none"), ("user-2", "full"), ("user-3", "partial")])
def test_a_run_of_other_data_is_convicted(actor, data):
    convicts(CHECK, told(GOOD, about("workload", user_id=user(actor)), data=data), f"(run {ASKED[actor][0]})")


def test_a_tenant_without_a_log_has_no_data():
    passes(CHECK, without(GOOD, about("workload", user_id=user("user-3"))))
    convicts(CHECK, without(GOOD, about("workload", user_id=user("user-1"))), "data is insufficient", "r-1")


AGENTS = [
    ("r-1", "optimization"),
    ("r-1", "reporting"),
    ("r-2", "data_helper"),
    ("r-3", "triage"),
    ("r-4", "data_helper"),
]


@pytest.mark.parametrize(("run", "agent"), AGENTS)
def test_an_agent_that_did_not_run_is_convicted(run, agent):
    silent = altered(GOOD, run, "agent_started", agent, type="agent_thinking")
    convicts(CHECK, silent, f"was taken without {agent}", run)


def test_an_agent_that_does_not_belong_is_convicted():
    strange = altered(GOOD, "r-3", "agent_thinking", "data_helper", type="agent_started", agent="optimization")
    convicts(CHECK, strange, "optimization ran on the insufficient route")


def test_a_run_whose_triage_failed_must_ask_for_data():
    known = altered(GOOD, "r-4", "agent_error", "triage", type="agent_completed")
    convicts(CHECK, known, "data is sufficient, the run took the route insufficient", "r-4")
    passes(CHECK, altered(GOOD, "r-4", "agent_error", "triage", type="agent_death"))
    lost = altered(GOOD, "r-1", "agent_completed", "triage", type="agent_death")
    convicts(CHECK, lost, "data is unknown, the run took the route sufficient", "r-1")


@pytest.mark.parametrize("run", ["r-2", "r-3", "r-4"])
def test_after_a_failed_data_helper_the_report_is_still_written(run):
    failed = altered(GOOD, run, "agent_completed", "data_helper", type="agent_error")
    passes(CHECK, failed)
    convicts(CHECK, altered(failed, run, "agent_completed", "reporting", type="agent_error"), "without a report", run)


def test_a_run_without_events_is_convicted():
    told_of = ("frame", "events")
    forgotten = History(r for r in GOOD.records if r.f not in told_of or r.value["user_id"] != user("user-2"))
    convicts(CHECK, forgotten, "was taken without data, data_helper, reporting, triage")


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_a_run_that_was_not_completed_is_not_judged(status):
    passes(CHECK, run_row(GOOD, "r-4", status=status, route=None))


def test_nothing_to_judge_is_unknown():
    cannot_tell(CHECK, without(GOOD, about("runs")), "not read")
    cannot_tell(CHECK, renamed(GOOD, about("runs"), actor="user-1"), "not read")
    cannot_tell(CHECK, History(r for r in GOOD.records if r.f != "workload"), "Nobody knows")
    cannot_tell(CHECK, History(r for r in GOOD.records if r.f not in ("frame", "events")), "No event")
    cannot_tell(CHECK, rows(GOOD, "runs", lambda of: []), "No run was completed")


@pytest.mark.parametrize(("run", "route"), [("r-1", "sufficient"), ("r-2", "partial"), ("r-3", "insufficient")])
def test_a_route_that_nobody_took_is_unknown(run, route):
    cannot_tell(CHECK, run_row(GOOD, run, status="failed"), f"data that is {route}")
