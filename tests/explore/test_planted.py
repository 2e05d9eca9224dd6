"""Exploration on the real platform: a handful of cells of the sign-in flow, with and without a planted defect."""

from pathlib import Path

import pytest

from netra_sim.scenarios.explore.cells import Cell
from netra_sim.scenarios.explore.explorer import judged, stage
from netra_sim.scenarios.explore.fingerprint import Exchange
from netra_sim.scenarios.explore.invariants import told
from netra_sim.scenarios.explore.matrix import Outcome
from netra_sim.scenarios.explore.plans import Plan
from netra_sim.scenarios.explore.search import shrunk

COMMIT = Exchange("postgres", "COMMIT")
SESSION = Exchange("redis", "GET session:*", 2)
ACCEPT = Exchange(
    "postgres", "WITH owned AS ( INSERT INTO threads (id, user_id) VALUES ($3, $2) ON CONFLICT (id) DO UPDATE SET …"
)
HARMLESS = Cell(Exchange("redis", "SET session:*"), "error")


async def test_the_login_flow_is_recorded_and_holds() -> None:
    async with stage(lanes=2) as at:
        matrix, cells = await at.survey("login")
        assert {COMMIT, SESSION} <= set(matrix.exchanges)
        assert matrix.exchanges[0] == Exchange("edge", "POST /auth/signup")
        faults = {
            Cell(COMMIT, "cut_before"),
            Cell(COMMIT, "cut_after"),
            Cell(COMMIT, "error"),
            Cell(SESSION, "corrupt"),
        }
        assert faults <= set(cells)
        outcomes: list[Outcome] = []
        await at.explore(matrix, sorted(faults, key=lambda cell: cell.id), 60.0, outcomes.append)
        assert {outcome.cell: outcome.state for outcome in outcomes} == dict.fromkeys(faults, "held")
        said = {outcome.cell.fault: outcome.why for outcome in outcomes}
        # Done, but nobody could say so: the refusal that was told before denied it.
        assert said["cut_after"].startswith("signup unknown 504 outcome_unknown, signup fail 409 email_taken")
        assert said["cut_before"].startswith("signup unknown 504 outcome_unknown, signup ok")
        assert said["error"].startswith("signup fail 503 store_unavailable, signup ok")


async def test_what_was_not_reached_is_told() -> None:
    async with stage(lanes=1) as at:
        tenth = Cell(Exchange("postgres", "COMMIT", 10), "error")
        assert judged(tenth, await at.slots[0].run("login", [tenth])).state == "unreached"


@pytest.mark.parametrize(
    ("defect", "flow", "cause", "shows", "scale"),
    [
        ("every_commit_retried", "login", Cell(COMMIT, "cut_after"), "email_taken", 0.1),
        ("idempotency_removed", "chat", Cell(ACCEPT, "cut_after"), "2 messages are stored", 0.1),
        (
            "acknowledged_before_commit",
            "chat",
            Cell(ACCEPT, "refuse"),
            "no acknowledged write lost",
            0.05,
        ),  # each run waits for an answer
    ],
)
@pytest.mark.timeout(300)  # a user who was acknowledged and never answered waits for 9 s in each of five runs
async def test_a_planted_defect_is_found_and_shrunk_to_one_fault(
    defect: str, flow: str, cause: Cell, shows: str, scale: float, tmp_path: Path
) -> None:
    async with stage(lanes=1, planted=defect, scale=scale) as at:
        (slot,) = at.slots
        await slot.run(flow)  # cold, it takes so long that the deadline leaves no room for a second attempt
        outcome = judged(cause, await slot.run(flow, [cause]))
        assert outcome.state == "violated"
        assert shows in outcome.why
        path = await shrunk(slot, Plan(flow, (cause, HARMLESS), outcome.why, defect), tmp_path)
        assert path is not None
        assert Plan.load(path).cells == (cause,)
        assert Plan.load(path).planted == defect
        run = await slot.run(flow)
        assert "ok" in told(run.history)
