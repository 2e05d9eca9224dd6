"""What must hold in every run, whatever was failed: judged from the history of that run alone. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from netra_sim.checks.delivery import exactly_once_in_order
from netra_sim.checks.events import legal_events
from netra_sim.checks.isolation import isolated
from netra_sim.checks.ledger import acknowledged_writes
from netra_sim.checks.residue import no_residue
from netra_sim.checks.states import legal_transitions
from netra_sim.checks.verdict import Check
from netra_sim.checks.views import audited, audited_rows
from netra_sim.kernel.history import History, Op

GRACE = 1.0  # seconds before a client left in which what was stored need not have reached him
CHECKS: dict[str, tuple[Check, ...]] = {
    "no acknowledged write lost": (acknowledged_writes(),),
    "legal event order": (exactly_once_in_order(GRACE), legal_events(), legal_transitions(), isolated()),
    "recovered and no residue": (no_residue(),),
}
Judge = Callable[[History], Iterator[str]]


def broken(history: History) -> list[str]:
    """Every invariant that does not hold, with what shows it."""
    own: dict[str, Judge] = {
        "no acknowledged write lost": _lost,
        "no effect twice": _twice,
        "the user told the truth": _untrue,
        "recovered and no residue": _left,
    }
    said = [f"{name}: {what}" for name, judge in own.items() for what in judge(history)]
    findings = [(name, check.judge(history)) for name, checks in CHECKS.items() for check in checks]
    return said + [f"{name}: {found.observed}" for name, found in findings if found.outcome == "fail"]


def told(history: History) -> str:
    """What the user was told, in order: `signup 503 store_unavailable, signup ok, login ok`."""
    words = []
    for op in history.ops("signup", "login", "refresh", "connect", "send", "chat", "history"):
        code = " ".join(str(op.result[key]) for key in ("status", "code") if op.result.get(key) is not None)
        words.append(f"{op.f} ok" if op.outcome == "ok" else f"{op.f} {op.outcome} {code}".strip())
    return ", ".join(f"{word} x{n}" if n > 1 else word for word, n in Counter(words).items())


def _lost(history: History) -> Iterator[str]:
    account = _account(history)
    if account is None:
        return
    if _count(history, "ok", "signup") and not account["users"]:
        yield "the account that was opened is not there"
    if (signed := _count(history, "ok", "signup", "login")) > account["sessions"]:
        yield f"{signed} sign-ins were confirmed, {account['sessions']} sessions are there"
    renewed = account["tokens"] - account["sessions"]
    if (confirmed := _count(history, "ok", "refresh")) > renewed:
        yield f"{confirmed} refreshes were confirmed, {renewed} are stored"
    answers = {row["run_id"] for row in audited_rows(history, "answers") or ()}
    for op in history.ops("chat"):
        if op.outcome == "ok" and op.result.get("run_id") not in answers:
            yield "the answer that the user was given is not stored"


def _twice(history: History) -> Iterator[str]:
    account = _account(history)
    if account and account["sessions"] > (asked := len(history.ops("signup", "login"))):
        yield f"{asked} sign-ins were asked for, {account['sessions']} sessions were made"
    asked = len({op.value.get("message_id") for op in history.ops("send")})
    for name, things in (("messages", "messages"), ("runs", "runs"), ("answers", "answers")):
        if (stored := len(audited_rows(history, name) or ())) > asked:
            yield f"{asked} messages were sent, {stored} {things} are stored"


def _untrue(history: History) -> Iterator[str]:
    """A refusal says that nothing was done, a confirmation that it was; only an unknown outcome leaves it open."""
    account = _account(history)
    if account:
        yield from _denied(history, account["users"], "account", "signup")
        yield from _denied(history, account["sessions"], "session", "signup", "login")
        yield from _denied(history, account["tokens"] - account["sessions"], "token pair", "refresh")
        if account["revoked"]:
            yield f"{account['revoked']} of the user's sessions were closed, though he did nothing wrong"
    stored = {row[1] for row in audited_rows(history, "messages") or ()}  # type: ignore[index]
    sends: dict[str, list[Op]] = {}
    for op in history.ops("send"):
        sends.setdefault(str(op.value.get("message_id")), []).append(op)
    for message, ops in sends.items():
        if message in stored and all(op.outcome == "fail" for op in ops):
            yield f"the message was refused ({ops[-1].result.get('code')}), but it is stored"
    done = {row["run_id"] for row in audited_rows(history, "runs") or () if row["status"] == "completed"}
    for op in history.ops("chat"):
        if op.outcome == "fail" and op.result.get("run_id") in done:
            yield f"the user was told {op.result.get('code')}, but his answer stands"
    if not any(record.value["lasting"] for record in history.seen("plan")):
        for op in history.ops("chat"):
            if op.outcome == "unknown":
                yield f"the user was never told how his question ended ({op.result.get('code')})"


def _denied(history: History, made: int, what: str, *names: str) -> Iterator[str]:
    possible = _count(history, "ok", *names) + _count(history, "unknown", *names)
    if made > possible:
        refused = next((op for op in history.ops(*names) if op.outcome == "fail"), None)
        said = f" ({refused.f} {refused.result.get('status')} {refused.result.get('code')})" if refused else ""
        yield f"{made} {what}{'s' if made > 1 else ''} made, but at most {possible} told: the refusal was untrue{said}"


def _left(history: History) -> Iterator[str]:
    calm = audited(history, "calm")
    if calm is not None and calm.value["left"]:
        yield f"not as before {calm.value['within_s']:g} s after the fault was healed: {calm.value['left']}"
    for record in history.seen("not_over"):
        yield f"the flow was not over after {record.value['seconds']:g} s"


def _account(history: History) -> dict[str, int] | None:
    reading = audited(history, "account")
    return None if reading is None else dict(reading.value)


def _count(history: History, outcome: str, *names: str) -> int:
    return sum(op.outcome == outcome for op in history.ops(*names))
