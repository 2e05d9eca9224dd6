import asyncio
from typing import Any

import orjson
import pytest

from netra_sim.backend.reliability.breaker import IN_A_ROW, Breaker
from netra_sim.backend.telemetry.health import Health, level
from netra_sim.kernel.clock import ManualClock


def asked(health: Health, path: str) -> Any:
    return next(route.endpoint for route in health.routes() if route.path == path)


def health(**answers: bool) -> Health:
    def probe(answer: bool) -> Any:
        async def ask() -> bool:
            return answer

        return ask

    return Health({name: probe(answer) for name, answer in answers.items()})


@pytest.mark.parametrize(
    ("failing", "known", "expected"),
    [(0, 3, "normal"), (1, 3, "partial"), (1, 1, "partial"), (2, 5, "degraded"), (2, 4, "minimal"), (3, 3, "minimal")],
)
def test_the_level_follows_from_how_many_fail(failing: int, known: int, expected: str):
    assert level(failing, known) == expected


async def test_the_report_names_each_dependency_and_its_breaker():
    whole = health(postgres=True, redis=False, llm=True)
    whole.breaker_changed("redis", "open")
    report: Any = await whole.report()
    assert (report["level"], report["failing"]) == ("partial", ["redis"])
    redis, postgres = report["dependencies"]["redis"], report["dependencies"]["postgres"]
    assert (redis["ok"], redis["critical"], redis["breaker"]) == (False, False, "open")
    assert redis["since"] > 0
    assert (postgres["ok"], postgres["critical"], postgres["breaker"], postgres["since"]) == (
        True,
        True,
        "closed",
        None,
    )


@pytest.mark.parametrize(
    ("answers", "status"),
    [({"postgres": True, "redis": False}, 200), ({"postgres": False, "redis": True}, 503), ({"postgres": True}, 200)],
)
async def test_only_what_is_critical_decides_readiness(answers: dict[str, bool], status: int):
    response = await asked(health(**answers), "/health/ready")(None)
    assert response.status_code == status
    assert orjson.loads(response.body)["ready"] == (status == 200)


async def test_being_alive_asks_nobody():
    assert (await asked(Health({}), "/health/live")(None)).status_code == 200


PAUSE = 0.5


def broken(*names: str, clock: ManualClock | None = None) -> Health:
    """Five breakers, of which these are open."""
    clock = clock or ManualClock()
    held = {name: Breaker(PAUSE, PAUSE, clock) for name in ("postgres", "redis", "llm", "llm_fallback", "tool")}
    for name in names:
        for _ in range(IN_A_ROW):
            held[name].record(ok=False)
    return Health({}, breakers=held, gauges=lambda: {"sockets": 3})


@pytest.mark.parametrize(
    ("names", "expected"),
    [((), "normal"), (("redis",), "partial"), (("redis", "llm"), "degraded"), (("redis", "llm", "tool"), "minimal")],
)
async def test_the_state_is_told_without_asking_anybody(names: tuple[str, ...], expected: str):
    told = orjson.loads((await asked(broken(*names), "/health/state")(None)).body)
    assert (told["level"], told["sockets"]) == (expected, 3)
    assert {name for name, state in told["breakers"].items() if state != "closed"} == set(names)


def test_users_are_told_when_the_level_changes_and_only_then():
    whole, told = broken(), []
    whole.tell = lambda level, affected: told.append((level, affected))
    for _ in range(IN_A_ROW):
        whole.breakers["redis"].record(ok=False, probe=False)
    whole.breaker_changed("redis", "open")
    whole.breaker_changed("redis", "half_open")
    assert [level for level, _ in told] == ["partial"]
    assert told[0][1] == ["sign-in checks and events take a little longer"]


def test_new_runs_are_refused_at_minimal_until_a_probe_may_go_out():
    assert broken("redis", "llm").refuses() == 0
    whole = broken("redis", "llm", "llm_fallback")
    assert 0 < whole.refuses() <= 0.5


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_an_outage_that_nobody_has_seen_for_long_is_told_no_more_and_health_is_not_claimed(clock: ManualClock):
    """The fallback model is not asked while the first one works: nobody would ever see that it is back."""
    whole, told = broken("llm_fallback", clock=clock), []
    whole.tell = lambda level, affected: told.append((level, affected))
    whole.breaker_changed("llm_fallback", "open")
    assert told == [("partial", ["answers come from rules, without a model behind the first one"])]
    watching = asyncio.create_task(whole.watch(clock, PAUSE / 2))
    await clock.advance(1.9 * PAUSE)
    assert len(told) == 1
    await clock.advance(0.1 * PAUSE)
    watching.cancel()
    assert told[1:] == [("normal", [])]
    breakers = {**dict.fromkeys(whole.breakers, "closed"), "llm_fallback": "half_open"}
    assert whole.state() == {"level": "normal", "breakers": breakers, "sockets": 3}
