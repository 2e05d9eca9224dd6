"""Which messages a matcher takes, and what it refuses to be."""

from random import Random
from typing import Any

import pytest

from netra_sim.faults.match import Counter, Matcher
from netra_sim.faults.wire.base import Message
from netra_sim.kernel.errors import BadValue, UnknownName

QUERY = Message(b"Q\0COMMIT alice\0", "Query", "COMMIT", facts={"sqlstate": "40001"})
SET = Message(b"SET user:1 x", "command", "SET user:1 x", facts={"key": "user:1", "keys": ("user:1", "user:2")})
POST = Message(b"POST /chat", "request", "POST /chat?a=1", facts={"path": "/chat"})
ANSWER = Message(b"HTTP/1.1 503", "response", "POST /chat", facts={"status": 503, "path": "/chat"})


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({}, [QUERY, SET, POST, ANSWER]),
        ({"type": "Query"}, [QUERY]),
        ({"type": ["Query", "request"]}, [QUERY, POST]),
        ({"text": "^commit"}, [QUERY]),
        ({"text": "post /CHAT"}, [POST, ANSWER]),
        ({"key": "user:*"}, [SET]),
        ({"key": "user:2"}, [SET]),
        ({"path": "/ch*"}, [POST, ANSWER]),
        ({"status": 503}, [ANSWER]),
        ({"status": "5*"}, [ANSWER]),
        ({"status": "400*"}, [QUERY]),
        ({"value": "alice"}, [QUERY]),
        ({"connection": 3}, [QUERY, SET, POST, ANSWER]),
        ({"connection": 4}, []),
        ({"type": "request", "text": "commit"}, []),
    ],
)
def test_all_that_is_named_must_hold(given: dict[str, Any], taken: list[Message]) -> None:
    matcher = Matcher.parse(given)
    assert [m for m in (QUERY, SET, POST, ANSWER) if matcher.fits(m, 3)] == taken


def test_what_is_not_understood_is_taken_by_name_only_and_parts_never() -> None:
    opaque, part = Message(b"?", "opaque"), Message(b"?", "Query", whole=False)
    assert not Matcher().fits(opaque, 1)
    assert Matcher(type=("opaque",)).fits(opaque, 1)
    assert not Matcher(type=("Query",)).fits(part, 1)


@pytest.mark.parametrize(
    ("given", "struck"),
    [({}, [1, 2, 3, 4, 5, 6]), ({"nth": 2}, [2]), ({"every": 3}, [3, 6]), ({"first": 2}, [1, 2]),
     ({"every": 2, "first": 4}, [2, 4]), ({"probability": 0}, [])],
)  # fmt: skip
def test_counters(given: dict[str, Any], struck: list[int]) -> None:
    counter, matcher = Counter(), Matcher.parse(given)
    assert [n for n in range(1, 7) if counter.strikes(matcher, Random(1))] == struck


def test_probability_is_drawn_from_the_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        counter, rng = Counter(), Random(seed)
        return [counter.strikes(Matcher(probability=0.5), rng) for _ in range(100)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 30 < sum(drawn(1)) < 70


@pytest.mark.parametrize(
    ("given", "field"),
    [({"type": 3}, "type"), ({"type": []}, "type"), ({"text": "("}, "text"), ({"key": 1}, "key"), ({"nth": 0}, "nth"),
     ({"nth": True}, "nth"), ({"every": 1.5}, "every"), ({"first": "2"}, "first"), ({"connection": -1}, "connection"),
     ({"probability": 1.1}, "probability"), ({"status": 1.5}, "status"), ({"value": None}, "value")],
)  # fmt: skip
def test_a_malformed_matcher_is_refused_with_its_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(BadValue, match=rf"match\.{field} cannot be .* It takes"):
        Matcher.parse(given)


def test_an_unknown_field_is_refused_with_those_known() -> None:
    with pytest.raises(UnknownName, match=r"sql.*Known: type, text, key"):
        Matcher.parse({"sql": "COMMIT"})
    with pytest.raises(BadValue, match="an object of type, text"):
        Matcher.parse("COMMIT")


def test_it_is_told_as_it_was_given() -> None:
    given = {"type": ["Query"], "text": "x", "nth": 2, "probability": 0.5}
    assert Matcher.parse(given).as_dict() == given
    assert Matcher().as_dict() == {}
