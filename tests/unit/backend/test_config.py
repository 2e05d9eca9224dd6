import pytest

from netra_sim.backend.config import MESSAGE_BYTES, SENDS_PER_MINUTE, from_environment
from netra_sim.kernel.errors import BadValue

GIVEN = {
    "NETRA_POSTGRES_URL": "postgresql://u:secret@h/d",
    "NETRA_REDIS_URL": "redis://h",
    "NETRA_LLM_URL": "http://h/v1",
}


def test_what_is_given_and_what_is_not():
    settings = from_environment(
        {**GIVEN, "NETRA_PORT": "80", "NETRA_TIME_SCALE": "0.1", "HOME": "/", "NETRA_OTHER": "x"}
    )
    assert (settings.postgres_url, settings.port, settings.time_scale) == (GIVEN["NETRA_POSTGRES_URL"], 80, 0.1)
    assert settings.heartbeat == 25.0
    assert settings.scaled(5) == 0.5


@pytest.mark.parametrize(
    ("text", "expected"), [("", set()), ("retry", {"retry"}), ("retry,breaker,", {"retry", "breaker"})]
)
def test_protections_are_left_out_by_name(text: str, expected: set[str]):
    assert from_environment({**GIVEN, "NETRA_WITHOUT": text}).without == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NETRA_PORT", "eighty"),
        ("NETRA_PORT", "70000"),
        ("NETRA_TIME_SCALE", "0"),
        ("NETRA_TIME_SCALE", "-1"),
        ("NETRA_TIME_SCALE", "nan"),
        ("NETRA_WITHOUT", "retry,luck"),
        ("NETRA_POOL_SIZE", "0"),
        ("NETRA_REQUEST_DEADLINE", "0"),
        ("NETRA_HEARTBEAT", "-1"),
        ("NETRA_IDLE_TIMEOUT", "inf"),
        ("NETRA_OUTBOUND_BURST", "0"),
    ],
)
def test_a_bad_value_names_its_variable(name: str, value: str):
    with pytest.raises(BadValue) as told:
        from_environment({**GIVEN, name: value})
    assert (told.value.facts["field"], told.value.facts["value"]) == (name, value)
    assert told.value.facts["allowed"]


@pytest.mark.parametrize("missing", GIVEN)
def test_a_missing_address_names_its_variable_and_shows_no_other(missing: str):
    with pytest.raises(BadValue) as told:
        from_environment({k: v for k, v in GIVEN.items() if k != missing})
    assert told.value.facts["field"] == missing
    assert "secret" not in str(told.value)


def test_every_tier_has_its_limits():
    assert MESSAGE_BYTES.keys() == SENDS_PER_MINUTE.keys() == {"free", "early", "mid", "enterprise"}
    assert (MESSAGE_BYTES["free"], SENDS_PER_MINUTE["free"]) == (8192, 10)
