"""One user's pen in the history: every op he begins gets exactly one completion."""

from __future__ import annotations

from typing import Any

from netra_sim.kernel.history import HistoryWriter, Outcome
from netra_sim.users import wire


class Actor:
    """Writes the ops and frames of one user."""

    def __init__(self, history: HistoryWriter, name: str) -> None:
        """`name` is the actor of all his records."""
        self.history, self.name = history, name
        self._open: set[Op] = set()

    def invoke(self, f: str, **value: Any) -> Op:
        """Begin an op."""
        op = Op(self, f, self.history.invoke(self.name, f, **value))
        self._open.add(op)
        return op

    def seen(self, f: str, **value: Any) -> None:
        """Record an observation."""
        self.history.seen(self.name, f, **value)

    def frame(self, frame: wire.Frame, **more: Any) -> None:
        """Record a frame as it arrived."""
        data = frame.data
        self.seen(
            "frame",
            type=frame.type,
            seq=frame.seq,
            run_id=frame.run_id,
            run_seq=frame.run_seq,
            thread_id=frame.thread_id,
            agent=data.get("agent_name"),
            status=data.get("status"),
            tool=data.get("tool_name"),
            call=data.get("call_id"),
            **more,
        )

    def close(self, code: str, message: str) -> None:
        """End what is still open: its outcome is unknown."""
        for op in sorted(self._open, key=lambda op: op.id):
            op.unknown(code, message)

    def complete(self, op: Op, outcome: Outcome, result: dict[str, Any]) -> None:
        """Record an op's end; a second end is dropped, for the first is what the user saw."""
        if op in self._open:
            self._open.remove(op)
            self.history.complete(op.id, self.name, op.f, outcome, **result)


class Op:
    """An op under way."""

    def __init__(self, actor: Actor, f: str, id_: int) -> None:
        """`id_` is its id in the history."""
        self.actor, self.f, self.id = actor, f, id_

    def ok(self, **result: Any) -> None:
        """It was done."""
        self.actor.complete(self, "ok", result)

    def fail(self, code: str, message: str, **more: Any) -> None:
        """It was surely not done, or was refused, and the user was told."""
        self.actor.complete(self, "fail", {"code": code, "message": message, **more})

    def unknown(self, code: str, message: str, **more: Any) -> None:
        """Whether it was done cannot be known."""
        self.actor.complete(self, "unknown", {"code": code, "message": message, **more})
