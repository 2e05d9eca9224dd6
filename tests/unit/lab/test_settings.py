from pathlib import Path

import pytest

from netra_sim.kernel.errors import BadValue
from netra_sim.lab.settings import Settings, from_environment, redact


def test_nothing_set_means_embedded_on_free_ports():
    assert from_environment({}) == Settings()
    assert from_environment({"NETRA_POSTGRES": "", "NETRA_REDIS_PORT": "", "NETRA_DATA_DIR": ""}) == Settings()


def test_each_setting_is_taken(tmp_path: Path):
    given = {
        "NETRA_POSTGRES": "postgresql://u:p@h:5432/db",
        "NETRA_REDIS": "path",
        "NETRA_CLICKHOUSE": "off",
        "NETRA_LLM": "https://models.example/v1",
        "NETRA_POSTGRES_PORT": "15432",
        "NETRA_REDIS_PORT": "16379",
        "NETRA_DATA_DIR": str(tmp_path),
        "NETRA_NURSERY": "off",
    }
    expected = Settings(
        postgres="postgresql://u:p@h:5432/db", redis="path", clickhouse="off", llm="https://models.example/v1",
        postgres_port=15432, redis_port=16379, data_dir=tmp_path, nursery=False,
    )  # fmt: skip
    assert from_environment(given) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("NETRA_POSTGRES", "docker"),
        ("NETRA_POSTGRES", "mysql://h/db"),
        ("NETRA_POSTGRES", "postgresql://"),
        ("NETRA_POSTGRES", "postgresql://h:port/db"),
        ("NETRA_REDIS", "redis://h:99999"),
        ("NETRA_REDIS", "redis://[::1"),
        ("NETRA_LLM", "path"),
        ("NETRA_LLM", "ftp://h/v1"),
        ("NETRA_POSTGRES_PORT", "0"),
        ("NETRA_POSTGRES_PORT", "65536"),
        ("NETRA_REDIS_PORT", "six"),
        ("NETRA_REDIS_PORT", "²"),
        ("NETRA_DATA_DIR", "/no/such/directory"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_takes(field, value):
    with pytest.raises(BadValue) as caught:
        from_environment({field: value})
    assert caught.value.facts["field"] == field and caught.value.facts["allowed"]


@pytest.mark.parametrize(
    "url",
    ["postgress://u:geheim@h/db", "postgresql://u:ge@heim@h:x/db", "redis://:geheim/geheim@", "http://u:geheim@:1"],
)
def test_a_wrong_url_is_told_without_its_password(url):
    field = "NETRA_LLM" if url.startswith("http:") else "NETRA_REDIS" if "redis" in url else "NETRA_POSTGRES"
    with pytest.raises(BadValue) as caught:
        from_environment({field: url})
    assert "heim" not in str(caught.value) and "heim" not in str(caught.value.as_dict())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@h/db", "postgresql://u:***@h/db"),
        ("redis://:p@h:6379/0", "redis://:***@h:6379/0"),
        ("postgresql://h/db?password=p&x=1", "postgresql://h/db?password=***&x=1"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("cannot reach postgresql://u:p:q@r@h/db now", "cannot reach postgresql://u:***@h/db now"),
        ("no url at all: a@b", "no url at all: a@b"),
    ],
)
def test_passwords_are_starred(text, shown):
    assert redact(text) == shown
