"""One user never sees what belongs to another."""

from __future__ import annotations

from netra_sim.checks.evidence import Facts, at, counted, first_at, notable, seen_facts, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import audited, identities
from netra_sim.kernel.history import History


def isolated(
    *,
    name: str = "isolated",
    proves: tuple[str, ...] = ("GP-USERS.3",),
    controls: tuple[str, ...] = (),
) -> Check:
    """No frame carries another user's canary or id, and no stored row belongs to another than its owner."""
    expected = "Not one frame or stored row shows a user anything of another user (limit: 0 leaks)."
    return Check(name, expected, proves, _judge, controls)


def _judge(history: History) -> Finding:
    frames = history.seen("frame")
    bad = _leaked(history)
    users = len({r.actor for r in frames})
    rows = audited(history, "foreign_rows")
    if rows is not None:
        found = rows.value.get("rows", ())
        bad += [{"t": at(history, rows.t), "problem": "a stored row of another", "row": row} for row in found]
    if bad:
        told = f"{counted(len(bad), 'leak')} in {counted(len(frames), 'frame')} of {counted(users, 'user')}"
        return Finding("fail", f"{told}, {first_at(bad)}.", notable(bad))
    if users < 2:
        return unknown(f"Only {counted(users, 'user')} received frames; a leak takes two.")
    if rows is None:
        return unknown("No frame leaked, but the stored rows were not searched.")
    return Finding("pass", f"All {len(frames):,} frames of {users:,} users are free of anything foreign.")


def _leaked(history: History) -> list[Facts]:
    who = identities(history)
    bad: list[Facts] = []
    for r in history.seen("frame"):
        foreign, user = r.value.get("foreign"), str(r.value.get("user_id"))
        if foreign:
            problem = {"problem": "another's canary", "foreign": list(foreign)[:3]}
        elif user != who.get(r.actor, user):
            problem = {"problem": "another's user id", "foreign": [user]}
        else:
            continue
        bad.append(seen_facts(history, r, "connection", "seq", "type", "run_id", **problem))
    return bad
