from dataclasses import fields, replace

import pytest

from netra_sim import defects
from netra_sim.backend import parts as module
from netra_sim.backend.parts import Parts, load
from netra_sim.kernel.errors import BadValue


def slower(parts: Parts) -> Parts:
    return replace(parts, tools={})


def nothing(_parts: Parts) -> None:
    """Not a function to Parts."""


def test_production_parts_are_the_default():
    assert load("") == Parts()


def test_a_path_changes_them():
    assert load(f"{__name__}:slower").tools == {}


@pytest.mark.parametrize(
    "path",
    ["no_such_module:x", f"{__name__}:no_such_name", "json", ":x", "json:", "..x:y", f"{__name__}:nothing"],
)
def test_a_path_that_leads_nowhere_is_a_bad_value(path: str):
    with pytest.raises(BadValue) as told:
        load(path)
    assert (told.value.facts["field"], told.value.facts["value"]) == ("parts", path)


@pytest.mark.parametrize("name", defects.__all__)
def test_each_known_defect_replaces_one_or_two_parts(name: str):
    changed, usual = load(f"netra_sim.defects:{name}"), Parts()
    different = [f.name for f in fields(module.Parts) if getattr(changed, f.name) != getattr(usual, f.name)]
    assert 1 <= len(different) <= 2
    assert getattr(defects, name).__doc__
