import re

import pytest

from netra_sim.kernel.errors import BadValue
from netra_sim.lab.stores import _literal, _quoted, database_url


def test_a_databases_url_keeps_all_but_the_path():
    assert database_url("postgresql://u:p@h:1/postgres?sslmode=disable", "a/b c") == (
        "postgresql://u:p@h:1/a%2Fb%20c?sslmode=disable"
    )


def test_names_are_quoted_and_too_long_ones_refused():
    assert _quoted('a"b') == '"a""b"'
    assert _quoted("x" * 63)
    for name in ("", "x" * 64, "é" * 32, "a\0b"):
        with pytest.raises(BadValue, match="database name"):
            _quoted(name)


def test_a_prefix_matches_itself_alone():
    assert _literal("run:1") == "run:1"
    assert re.sub(r"\\(.)", r"\1", _literal(r"a*b?[c]\d^e-f")) == r"a*b?[c]\d^e-f"
    assert _literal("*") == r"\*"
