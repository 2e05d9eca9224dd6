"""`python -m tests.bench [--only NAME]... [--quick]`: measure, print a table, write reports/bench.json.

The exit code is 0 when every goal holds, 1 when one does not, 2 when something could not be measured at all.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from tests.bench import explore, golden, memory, proxy, start, sweep, users
from tests.bench.measure import Figure, missing

SCHEMA = 1
FILE = Path("reports/bench.json")
Group = Callable[[bool], Coroutine[Any, Any, list[Figure]]]
GROUPS: dict[str, Group] = {
    "proxy": proxy.figures, "start": start.figures, "golden": golden.figures, "memory": memory.figures,
    "users": users.figures, "most-users": users.most, "explore": explore.figures,
    "scenarios": sweep.figures,
}  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """Measure what was asked for, all in turn; the file is written after each group."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=GROUPS, help="a group of figures; may be given again")
    parser.add_argument("--quick", action="store_true", help="few samples: to see that it works, not to claim anything")
    given = parser.parse_args(words)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # thousands of sockets here and in each child
    found: list[Figure] = []
    for name in given.only or GROUPS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found += _measured(name, given.quick)
        write(FILE, found)
    print(table(found))
    return exit_code(found)


def _measured(name: str, quick: bool) -> list[Figure]:
    """A group's figures; what goes wrong in one must not lose the others."""
    import uvloop

    try:
        return list(uvloop.run(GROUPS[name](quick)))
    except Exception as error:
        traceback.print_exc()
        return [missing(name, "", f"{type(error).__name__}: {error}")]


def exit_code(found: Sequence[Figure]) -> int:
    """Failed goals weigh less than what is not known."""
    if any(figure.value is None for figure in found):
        return 2
    return 1 if any(figure.holds is False for figure in found) else 0


def table(found: Sequence[Figure]) -> str:
    """One line a figure."""
    marks = {True: "holds", False: "FAILS", None: ""}
    rows = [("figure", "value", "goal", "", "against", "samples")]
    for f in found:
        value = "-" if f.value is None else f"{f.value:.4g} {f.unit}"
        rows.append((f.name, value, str(f.goal or ""), marks[f.holds], f.against, str(f.samples)))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def write(path: Path, found: Sequence[Figure]) -> None:
    """Replace the file in one step; it holds the figures of one run alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".bench-", delete=False) as file:
        json.dump({"schema": SCHEMA, "figures": [figure.as_dict() for figure in found]}, file, indent=1)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


if __name__ == "__main__":
    sys.exit(main())
