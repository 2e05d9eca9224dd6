"""The frames of the socket: what a client may send, and how a server frame is built. No I/O."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from netra_sim.backend.chat.messages import Event, Order
from netra_sim.backend.errors import CATALOGUE, PlatformError
from netra_sim.backend.http import invalid


class _Frame(BaseModel):
    model_config = ConfigDict(extra="ignore")
    message_id: uuid.UUID | None = None
    thread_id: uuid.UUID | None = None
    timestamp: float | str | None = None


class ResumePayload(BaseModel):
    """Where to go on: the last seq that the client has seen."""

    last_seq: int = Field(ge=0, lt=1 << 63)
    resume_token: str | None = None


class Resume(_Frame):
    """The client's first frame."""

    type: Literal["resume"]
    payload: ResumePayload


class ChatPayload(BaseModel):
    """A message of 3 to 10,000 characters, none of them NUL (Postgres stores none)."""

    text: str = Field(min_length=3, max_length=10_000, pattern=r"^[^\x00]*$")


class ChatMessage(_Frame):
    """A question to the agents; the same message_id twice is one message."""

    type: Literal["chat_message"]
    message_id: uuid.UUID
    thread_id: uuid.UUID
    payload: ChatPayload


class AckPayload(BaseModel):
    """The last seq the client has processed."""

    seq: int = Field(ge=0, lt=1 << 63)


class Ack(_Frame):
    """Tells how far the client is."""

    type: Literal["ack"]
    payload: AckPayload


class Ping(_Frame):
    """Answered with `pong`."""

    type: Literal["ping"]


ClientFrame = Annotated[Resume | ChatMessage | Ack | Ping, Field(discriminator="type")]
KNOWN = ("resume", "chat_message", "ack", "ping")
_adapter: TypeAdapter[ClientFrame] = TypeAdapter(ClientFrame)


def parse(text: str | bytes) -> ClientFrame:
    """A client frame; PlatformError `bad_frame` names the field, `unknown_type` the known types."""
    try:
        raw = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PlatformError("bad_frame", field="frame", detail=f"The frame is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise PlatformError("bad_frame", field="frame", detail="The frame is not a JSON object.")
    if raw.get("type") not in KNOWN:
        raise PlatformError("unknown_type", field="type", known=list(KNOWN), message_id=_text(raw.get("message_id")))
    try:
        return _adapter.validate_python(raw)
    except ValidationError as error:
        told = invalid("bad_frame", error, skip=1)  # the first place is the frame's type
        told.facts["message_id"] = _text(raw.get("message_id"))
        raise told from error


def durable(order: Order, event: Event, seq: int, run_seq: int) -> bytes:
    """A frame of the user's stream, as JSON."""
    return _dump(event.type, event.data, seq, order.run_id, run_seq, order.thread_id)


def replayed(row: Any) -> bytes:
    """The same frame, out of its row in Postgres."""
    data = orjson.loads(row["data"])
    return _dump(row["type"], data, row["seq"], str(row["run_id"]), row["run_seq"], str(row["thread_id"]))


def ephemeral(type_: str, data: dict[str, Any], **more: Any) -> bytes:
    """A frame outside the stream: it has no seq and may be dropped."""
    return _dump(type_, data, None, None, None, None, **more)


def degradation(level: str, affected: list[str]) -> bytes:
    """What every socket is told when the platform's level changes."""
    return ephemeral("system_message", {"event": "degradation_changed", "level": level, "affected": affected})


def error(told: PlatformError, correlation_id: str | None = None) -> bytes:
    """An error frame: stable code, plain sentence, what to do."""
    entry = CATALOGUE[told.code]
    message = told.facts.get("detail", entry.sentence)
    data = {k: v for k, v in told.facts.items() if k != "detail"}
    return ephemeral("error", data, code=told.code, message=message, recovery=entry.remedy, correlation=correlation_id)


def _dump(
    type_: str, data: dict[str, Any], seq: int | None, run_id: str | None, run_seq: int | None,
    thread_id: str | None, correlation: str | None = None, **more: Any,
) -> bytes:  # fmt: skip
    frame = {
        "type": type_, "seq": seq, "run_id": run_id, "run_seq": run_seq, "thread_id": thread_id, "data": data,
        "timestamp": time.time(), "correlation_id": correlation or run_id or str(uuid.uuid4()), **more,
    }  # fmt: skip
    return orjson.dumps(frame)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
