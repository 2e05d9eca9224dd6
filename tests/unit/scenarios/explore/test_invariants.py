from typing import Any

import pytest

from netra_sim.kernel.history import History, HistoryWriter
from netra_sim.scenarios.explore.invariants import broken, told

Op = tuple[str, str, dict[str, Any]]
SIGNUP, LOGIN = ("signup", "ok", {"user_id": "u"}), ("login", "ok", {"user_id": "u"})
REFUSED, LOST = (
    ("signup", "fail", {"status": 503, "code": "store_unavailable"}),
    ("signup", "unknown", {"code": "timeout"}),
)
CALM = {"users": 1, "sessions": 2, "revoked": 0, "tokens": 2}


def history(*ops: Op, left: tuple[str, ...] = (), stored: int = 0, lasting: bool = False, **account: int) -> History:
    writer = HistoryWriter()
    writer.seen("run", "plan", cells=[], lasting=lasting)
    for f, outcome, result in ops:
        id_ = writer.invoke("user-1", f, **({"message_id": "m"} if f == "send" else {}))
        writer.complete(id_, "user-1", f, outcome, **result)  # type: ignore[arg-type]
    writer.seen("auditor", "account", **{**CALM, **account})
    writer.seen("auditor", "messages", rows=[["u", "m" if not n else f"m{n}"] for n in range(stored)])
    writer.seen("auditor", "calm", left=list(left), within_s=10.0)
    return writer.freeze()


def test_what_was_confirmed_and_stands_breaks_nothing() -> None:
    assert broken(history(SIGNUP, LOGIN)) == []


def test_an_unknown_outcome_leaves_open_whether_it_was_done() -> None:
    assert broken(history(LOST, SIGNUP, sessions=1, tokens=1)) == []
    assert broken(history(LOST, SIGNUP)) == []


@pytest.mark.parametrize(
    ("ops", "account", "broke"),
    [
        ([SIGNUP], {"users": 0, "sessions": 1}, "no acknowledged write lost: the account"),
        ([SIGNUP, LOGIN], {"sessions": 1, "tokens": 1}, "no acknowledged write lost: 2 sign-ins"),
        ([SIGNUP], {"tokens": 3}, "no effect twice: 1 sign-ins"),
        ([REFUSED], {"sessions": 0, "tokens": 0}, "the user told the truth: 1 account made, but at most 0 told"),
        ([SIGNUP, LOGIN], {"revoked": 1}, "the user told the truth: 1 of the user's sessions"),
        ([SIGNUP, LOGIN, ("refresh", "ok", {})], {}, "no acknowledged write lost: 1 refreshes"),
        ([SIGNUP, LOGIN, ("refresh", "fail", {"status": 503})], {"tokens": 3}, "the user told the truth: 1 token pair"),
    ],
)
def test_what_breaks_is_named(ops: list[Op], account: dict[str, int], broke: str) -> None:
    assert any(what.startswith(broke) for what in broken(history(*ops, **account)))


def test_a_refused_message_must_not_be_stored() -> None:
    refused: Op = ("send", "fail", {"code": "store_unavailable"})
    assert any("refused (store_unavailable)" in what for what in broken(history(SIGNUP, LOGIN, refused, stored=1)))
    assert broken(history(SIGNUP, LOGIN, refused)) == []


def test_a_message_is_stored_once() -> None:
    sent: Op = ("send", "ok", {"message_id": "m", "run_id": "r"})
    assert broken(history(SIGNUP, LOGIN, sent, stored=1)) == []
    assert any("2 messages are stored" in what for what in broken(history(SIGNUP, LOGIN, sent, stored=2)))
    assert any("acknowledged message is missing" in what for what in broken(history(SIGNUP, LOGIN, sent)))


def test_what_is_not_as_before_is_told() -> None:
    assert any("breaker" in what for what in broken(history(SIGNUP, LOGIN, left=("worker-1: breaker of llm open",))))


def test_what_the_user_was_told_is_counted() -> None:
    assert told(history(REFUSED, REFUSED, SIGNUP)) == "signup fail 503 store_unavailable x2, signup ok"


def test_whoever_asks_is_told_how_it_ended_unless_the_fault_lasts() -> None:
    left: Op = ("chat", "unknown", {"code": "timeout"})
    assert any("never told" in what for what in broken(history(SIGNUP, LOGIN, left)))
    assert broken(history(SIGNUP, LOGIN, left, lasting=True)) == []
