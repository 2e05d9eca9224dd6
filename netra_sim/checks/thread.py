"""The thread that a user comes back to: the answers he was given are in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netra_sim.checks.evidence import Facts, counted, notable, op_facts, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import audited_rows, identities
from netra_sim.kernel.history import History, Op


@dataclass(frozen=True, slots=True)
class _Answered:
    """A chat that ended ok: whose it is, its run, the thread of the question, and when its user had the answer (ns)."""

    op: Op
    user: str
    run: str
    thread: str
    end: int


def answers_readable(
    *,
    name: str = "answers_readable",
    proves: tuple[str, ...] = ("GP-AGENT.6",),
    controls: tuple[str, ...] = (),
) -> Check:
    """Each answered chat has its answer stored in its thread, and every later read of the thread lists it."""
    expected = "Every answer is stored in the thread of its question, and every later read of that thread lists it."
    return Check(name, expected, proves, _judge, controls)


def _judge(history: History) -> Finding:
    rows = audited_rows(history, "answers")
    if rows is None:
        return unknown("The stored answers were not read.")
    chats = _answered(history)
    if not chats:
        return unknown("No chat was answered.")
    stored = {str(row["run_id"]): row for row in rows}
    reads = _reads(history)
    later = {chat.op.id: _later(chat, reads) for chat in chats}
    bad: list[Facts] = []
    for chat in chats:
        problem = _unstored(chat, stored.get(chat.run)) or _unlisted(chat, later[chat.op.id])
        if problem:
            bad.append(op_facts(history, chat.op, thread_id=chat.thread, problem=problem))
    answers = counted(len(chats), "answer")
    if bad:
        evidence = notable(bad)
        told = f"{len(bad):,} of {answers} could not be read again: {evidence[0]['problem']}"
        return Finding("fail", f"{told} (run {evidence[0]['run_id']}).", evidence)
    read = sum(bool(later[chat.op.id]) for chat in chats)
    if not read:
        return unknown(f"No thread was read after its answer; {answers} stood in the store.")
    return Finding("pass", f"All {answers} are stored in their threads; {read:,} were read again later and listed.")


def _answered(history: History) -> list[_Answered]:
    """The chats that ended ok, in the threads of their questions."""
    who = identities(history)
    threads = {(op.actor, op.value["message_id"]): str(op.value["thread_id"]) for op in history.ops("send")}
    return [
        _Answered(op, who.get(op.actor, op.actor), str(op.result["run_id"]), thread, op.end)
        for op in history.ops("chat")
        if op.outcome == "ok" and op.end is not None
        if (thread := threads.get((op.actor, op.value["message_id"])))
    ]


def _reads(history: History) -> dict[tuple[str, str], list[Op]]:
    """The successful reads of each user's threads."""
    who = identities(history)
    reads: dict[tuple[str, str], list[Op]] = {}
    for op in history.ops("history"):
        if op.outcome == "ok" and "runs" in op.result:
            reads.setdefault((who.get(op.actor, op.actor), str(op.value["thread_id"])), []).append(op)
    return reads


def _later(chat: _Answered, reads: Mapping[tuple[str, str], Sequence[Op]]) -> list[Op]:
    """The reads that must list a chat's answer: all begun after it, but for a first page that has more behind it."""
    after = [op for op in reads.get((chat.user, chat.thread), ()) if op.start >= chat.end]
    return [op for op in after if chat.run in op.result["runs"] or not op.result.get("more", False)]


def _unstored(chat: _Answered, row: Mapping[str, Any] | None) -> str | None:
    if row is None:
        return "its answer is not stored"
    if str(row["user_id"]) != chat.user:
        return "its answer is stored for another user"
    if str(row["thread_id"]) != chat.thread:
        return "its answer is stored in another thread"
    return None if str(row["text"] or "").strip() else "its stored answer is empty"


def _unlisted(chat: _Answered, later: Sequence[Op]) -> str | None:
    return None if all(chat.run in op.result["runs"] for op in later) else "a later read of its thread did not list it"
