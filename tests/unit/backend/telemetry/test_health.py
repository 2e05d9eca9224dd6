from typing import Any

import orjson
import pytest

from netra_sim.backend.telemetry.health import Health, level


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
