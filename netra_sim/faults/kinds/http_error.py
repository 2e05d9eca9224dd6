"""A request is answered with a status of choice, and never reaches the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from netra_sim.faults.kinds.answering import Answering
from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, within
from netra_sim.faults.wire.base import Message
from netra_sim.faults.wire.http_answer import http_answer
from netra_sim.kernel.errors import BadValue


@dataclass(frozen=True)
class HttpError(MessageKind):
    """`status`, `headers`, `body`, `retry_after` in seconds (0: not said). A hit is a request answered so.

    The connection stays unless `headers` say `connection: close`, or the request waits for `100 Continue`.
    """

    name = "http_error"
    protocols = ("http",)
    discards = True
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    retry_after: int = 0

    def __post_init__(self) -> None:
        """BadValue for what is no final status, or a header with a line end."""
        within("status", self.status, 200, 599)
        within("retry_after", self.retry_after, 0)
        try:
            self.answer(close=False)
        except (ValueError, UnicodeError) as error:
            raise BadValue(
                field="attributes.headers", value=dict(self.headers), allowed=f"headers ({error})"
            ) from error

    def answer(self, *, close: bool) -> bytes:
        """The response."""
        headers = {"connection": "close" if close else "keep-alive"}
        headers |= {name.lower(): value for name, value in self.headers.items()}
        return http_answer(self.status, headers, self.body.encode(), retry_after=self.retry_after or None)

    def screen(self, way: MessageWay, rng: Random) -> Screen[HttpError]:
        """The answer."""
        return _Answer(self, way, rng)


class _Answer(Answering[HttpError]):
    _waits = False  # the client sends its body only after 100 Continue

    def answer(self, message: Message) -> bytes:
        return self.kind.answer(close=self._waits)

    def complete(self, message: Message) -> bool:
        self._waits = message.type == "request" and "expect" in message.facts["headers"]
        return message.last or self._waits

    def named(self, message: Message) -> bool:
        return message.type == "request"

    @property
    def closes(self) -> bool:
        said = {name.lower(): value.lower() for name, value in self.kind.headers.items()}
        return self._waits or said.get("connection") == "close"
