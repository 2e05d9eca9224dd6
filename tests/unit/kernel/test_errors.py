import json

import pytest

from netra_sim.kernel import errors
from netra_sim.kernel.errors import BadValue, NetraError, UnknownName

KINDS = errors._all_kinds(NetraError)
FACTS = {
    "what": "scenario", "name": "x", "known": "a, b", "field": "users", "value": -1, "allowed": "1 or more",
    "program": "postgres", "package": "p", "setting": "S", "port": 80, "service": "redis", "url": "u",
    "cause": "c", "log": "l", "action": "kill", "detail": "d", "scenario": "s", "verdict": "fail", "checks": "c",
}  # fmt: skip


def test_codes_are_unique():
    assert len({kind.code for kind in KINDS}) == len(KINDS)


def test_the_tree_in_the_docstring_is_the_tree():
    assert errors.__doc__ is not None
    for kind in KINDS:
        assert kind.__name__ in errors.__doc__


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_an_error_survives_the_way_through_json(kind: type[NetraError]):
    before = kind(**FACTS)
    after = NetraError.from_dict(json.loads(json.dumps(before.as_dict())))
    assert type(after) is kind
    assert str(after) == str(before)
    assert "?" not in str(before)
    if kind is not NetraError:
        assert after.facts == FACTS


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_a_fact_that_is_absent_does_not_hide_the_error(kind: type[NetraError]):
    assert str(kind())


def test_text_is_made_from_facts_and_says_what_to_do():
    assert str(UnknownName(what="scenario", name="x", known="a, b")) == "There is no scenario named 'x'. Known: a, b."
    assert BadValue(field="users", value=[1], allowed="numbers").as_dict()["facts"]["value"] == "[1]"


def test_an_unknown_code_keeps_its_text():
    error = NetraError.from_dict({"code": "of_the_future", "text": "Something new."})
    assert (type(error), str(error)) == (NetraError, "Something new.")
    assert str(NetraError.from_dict({})) == "unknown error"
