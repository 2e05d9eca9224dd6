import re
from typing import Any

import pytest

from netra_sim.kernel.errors import BadValue
from netra_sim.scenarios.explore.fingerprint import Exchange, exchanges, fingerprint


def up(type_: str, text: str, **facts: Any) -> dict[str, Any]:
    return {"stream": "upstream", "type": type_, "text": text, "facts": facts}


STATEMENT = """
WITH owned AS (
    INSERT INTO threads (id, user_id) VALUES ($3, $2)
    -- a remark
    ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id WHERE name = 'it''s' LIMIT 50
)
"""


def test_values_of_a_run_are_no_part_of_the_name() -> None:
    sql = "SELECT a FROM b WHERE c = 'x' AND d > 12.5 AND e = $1"
    assert fingerprint("postgres", up("Bind", sql)) == "SELECT a FROM b WHERE c = ? AND d > ? AND e = $1"
    session = "t1:session:0b9f4d1e-1111-4222-8333-944444444444"
    assert fingerprint("redis", up("command", f"GET {session}", key=session), "t1:") == "GET session:*"
    thread = "GET /threads/0b9f4d1e-1111-4222-8333-944444444444/messages?limit=100"
    assert fingerprint("edge", up("request", thread)) == "GET /threads/*/messages"
    assert fingerprint("edge", up("text", '{"type": "chat_message", "payload": {}}')) == "> chat_message"


@pytest.mark.parametrize(
    "message",
    [up("Parse", "SELECT 1"), up("Sync", "SELECT 1"), {**up("CommandComplete", "COMMIT"), "stream": "downstream"}],
)
def test_what_prepares_or_answers_begins_no_exchange(message: dict[str, Any]) -> None:
    assert fingerprint("postgres", message) is None


def test_setting_up_a_connection_is_no_exchange() -> None:
    assert fingerprint("redis", up("command", "HELLO 3")) is None


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        ("postgres", up("Bind", STATEMENT)),
        ("postgres", up("Query", "COMMIT;")),
        ("postgres", up("Bind", "SELECT 1 FROM a WHERE b = 'c'")),
        ("redis", up("command", "XADD t1:stream:0b9f4d1e-1111-4222-8333-944444444444 * f x",
                     key="t1:stream:0b9f4d1e-1111-4222-8333-944444444444")),
        ("redis", up("command", "PUBLISH t1:events payload")),
        ("edge", up("request", "GET /threads/0b9f4d1e-1111-4222-8333-944444444444/messages?limit=3")),
        ("edge", up("text", '{"type":"resume","payload":{}}')),
    ],
)  # fmt: skip
def test_the_pattern_finds_what_was_named(edge: str, message: dict[str, Any]) -> None:
    (found,) = exchanges([(edge, message)], "t1:")
    assert re.search(found.pattern, message["text"], re.IGNORECASE)


def test_the_pattern_of_a_short_statement_finds_no_longer_one() -> None:
    short = Exchange("postgres", "SELECT a FROM b")
    assert not re.search(short.pattern, "SELECT a FROM b WHERE c = $1")


def test_the_nth_counts_those_of_one_name() -> None:
    found = exchanges([("postgres", up("Query", text)) for text in ("BEGIN;", "COMMIT;", "BEGIN;")])
    assert [exchange.id for exchange in found] == ["postgres: BEGIN #1", "postgres: COMMIT #1", "postgres: BEGIN #2"]


@pytest.mark.parametrize("exchange", [Exchange("edge", "> chat_message"), Exchange("postgres", "SELECT a #b: c", 12)])
def test_an_id_is_read_again(exchange: Exchange) -> None:
    assert Exchange.parse(exchange.id) == exchange


def test_what_is_no_id_is_refused() -> None:
    with pytest.raises(BadValue, match="exchange"):
        Exchange.parse("postgres COMMIT")
