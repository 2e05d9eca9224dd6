"""The panel has a slider for every attribute of every fault."""

from dataclasses import fields

import pytest

from netra_sim.faults.kinds import ON_BYTES, make
from netra_sim.scenarios.dials import DIALS


def test_every_attribute_has_a_dial_and_no_dial_is_left_over():
    assert set(DIALS) == {(name, field.name) for name, kind in ON_BYTES.items() for field in fields(kind)}


@pytest.mark.parametrize("kind, attribute", DIALS)
def test_where_a_slider_stands_lies_within_its_range(kind, attribute):
    dial = DIALS[kind, attribute]
    assert dial.low <= dial.usual <= dial.high and dial.step > 0 and dial.unit
    assert getattr(make(kind, {attribute: dial.usual}), attribute) == dial.usual
