"""Acknowledged writes: what the platform said it has stored is stored, once."""

from __future__ import annotations

from collections import Counter

from netra_sim.checks.evidence import Facts, at, be, counted, first_at, notable, op_facts, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import audited, identities
from netra_sim.kernel.history import History, Op, Record

_Message = tuple[str, str]


def acknowledged_writes(
    *,
    name: str = "acknowledged_writes",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """Each acknowledged message is stored exactly once, any other at most once, and none that nobody sent."""
    expected = "Every acknowledged message is stored exactly once, no message twice, and none that nobody sent."
    return Check(name, expected, proves, _judge, controls)


def _judge(history: History) -> Finding:
    reading = audited(history, "messages")
    if reading is None:
        return unknown("The stored messages were not read.")
    attempts = _attempts(history)
    rows = Counter((str(row[0]), str(row[1])) for row in reading.value.get("rows", ()))
    acknowledged = {key: op for key, op in attempts.items() if _acknowledged(op, reading)}
    missing = [op_facts(history, op, problem="missing") for key, op in acknowledged.items() if not rows[key]]
    doubled = {key: op for key, op in attempts.items() if rows[key] > 1}
    twice = [op_facts(history, op, problem="stored twice", rows=rows[key]) for key, op in doubled.items()]
    alien = [_row_facts(history, reading, key) for key in rows if key not in attempts]
    bad = [*missing, *twice, *alien]
    if bad:
        return Finding("fail", _told(missing, twice, alien, len(acknowledged)), notable(bad))
    if not acknowledged:
        return unknown("No message was acknowledged.")
    told = f"All {counted(len(acknowledged), 'acknowledged message')} {be(len(acknowledged))} stored exactly once"
    return Finding("pass", f"{told}; {_open(attempts)}.")


def _acknowledged(op: Op, reading: Record) -> bool:
    return op.outcome == "ok" and op.end is not None and op.end <= reading.t


def _attempts(history: History) -> dict[_Message, Op]:
    """The op that decides each message: its first acknowledgement, else its last attempt."""
    who = identities(history)
    attempts: dict[_Message, Op] = {}
    for op in history.ops("send"):
        key = (who.get(op.actor, op.actor), str(op.value.get("message_id")))
        if key not in attempts or attempts[key].outcome != "ok":
            attempts[key] = op
    return attempts


def _row_facts(history: History, reading: Record, key: _Message) -> Facts:
    return {"t": at(history, reading.t), "user": key[0], "message_id": key[1], "problem": "sent by nobody"}


def _told(missing: list[Facts], twice: list[Facts], alien: list[Facts], acknowledged: int) -> str:
    parts = []
    if missing:
        whole = counted(acknowledged, "acknowledged message")
        parts.append(f"{len(missing):,} of {whole} {be(len(missing))} missing, {first_at(missing)}")
    if twice:
        parts.append(f"{counted(len(twice), 'message')} {be(len(twice))} stored more than once, {first_at(twice)}")
    if alien:
        parts.append(f"{counted(len(alien), 'stored message')} {be(len(alien))} of nobody who sent it")
    return "; ".join(parts) + "."


def _open(attempts: dict[_Message, Op]) -> str:
    others = [op for op in attempts.values() if op.outcome != "ok"]
    return f"{counted(len(others), 'other message')} failed or got no answer" if others else "no other was sent"
