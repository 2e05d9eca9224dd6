"""The client's side of the socket protocol: frames, tokens, close codes, reconnect delays. No I/O."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

SUBPROTOCOL = "jwt-auth"
ENDINGS = ("agent_completed", "agent_error", "agent_death")
EXPIRED = 4402
REFUSED = (4401, EXPIRED, 4403)  # authentication; final for the token that was used
POLICY = 1008
TRIES, FIRST_S, CAP_S = 10, 1.0, 30.0  # reconnect: reference, section 1

_CANARY = re.compile(r"canary-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Frame:
    """A server frame as it arrived; one that cannot be read has the type `unreadable`."""

    type: str
    seq: int | None
    run_id: str | None
    run_seq: int | None
    thread_id: str | None
    data: Mapping[str, Any]
    code: str | None = None
    message: str = ""

    @property
    def ends_run(self) -> bool:
        """Whether it is the supervisor's last event."""
        return self.type in ENDINGS and self.data.get("agent_name") == "supervisor"


def parse(raw: str | bytes) -> Frame:
    """The frame in a text or binary message."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        return Frame("unreadable", None, None, None, None, {})
    data = body.get("data") if isinstance(body.get("data"), dict) else {}
    return Frame(
        type=str(body.get("type")),
        seq=body.get("seq"),
        run_id=body.get("run_id"),
        run_seq=body.get("run_seq"),
        thread_id=body.get("thread_id"),
        data=data or {},
        code=body.get("code"),
        message=str(body.get("message") or ""),
    )


def foreign(raw: str | bytes, own: str) -> list[str]:
    """The canaries of others in a message, each once."""
    text = raw if isinstance(raw, str) else raw.decode(errors="replace")
    return sorted(set(_CANARY.findall(text)) - {own})


def resume(last_seq: int, token: str | None) -> str:
    """The client's first frame."""
    return _frame("resume", {"last_seq": last_seq, **({"resume_token": token} if token else {})})


def chat_message(message_id: str, thread_id: str, text: str, timestamp: float) -> str:
    """A question to the agents; `timestamp` in seconds since the epoch."""
    return _frame("chat_message", {"text": text}, message_id=message_id, thread_id=thread_id, timestamp=timestamp)


def ack(seq: int) -> str:
    """How far the client is."""
    return _frame("ack", {"seq": seq})


def _frame(type_: str, payload: dict[str, Any], **more: Any) -> str:
    return orjson.dumps({"type": type_, "payload": payload, **more}).decode()


def header(token: str | None) -> dict[str, str]:
    """The HTTP header that carries a token."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def subprotocols(token: str | None) -> list[str]:
    """The subprotocols that carry a token."""
    if token is None:
        return [SUBPROTOCOL]
    return [SUBPROTOCOL, "jwt." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")]


def tampered(token: str) -> str:
    """A token whose signature was changed in its middle, where every bit counts."""
    place = (token.rfind(".") + 1 + len(token)) // 2
    return token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]


def backoff(attempt: int, chance: float) -> float:
    """Seconds before time scale until retry 0, 1, ...: 1 s doubling, cap 30 s, full jitter by `chance` (0 to 1)."""
    return min(CAP_S, FIRST_S * 2.0**attempt) * chance
