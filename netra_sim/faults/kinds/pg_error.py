"""Postgres refuses a statement: the server itself raises the error, so that its transaction is what it says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from netra_sim.faults.kinds.answering import Answering
from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen, made
from netra_sim.faults.kinds.queue import Queue
from netra_sim.faults.wire.base import Message, Stream
from netra_sim.kernel.errors import BadValue

FATAL = re.compile("57P0[123]|53300|08...")
BATCH = frozenset(["Parse", "Bind", "Describe", "Execute", "Close"])
TAG = "$netra_fault$"


@dataclass(frozen=True)
class PgError(MessageKind):
    """`sqlstate` and `message`. 57P01-57P03, 53300 and class 08 are FATAL: told, and the connection ends.

    All others are raised in place of the Query, or of the extended batch from the message named up to its Sync.
    A hit is a statement refused. Functions' calls and what follows in a copy are never struck.
    """

    name = "pg_error"
    protocols = ("postgres",)
    discards = True
    sqlstate: str = "40001"
    message: str = "injected fault"

    def __post_init__(self) -> None:
        """BadValue for what is no SQLSTATE of an error, or a text that cannot be told."""
        if not re.fullmatch("(?!00|01|02)[0-9A-Z]{5}", self.sqlstate):
            raise BadValue(field="attributes.sqlstate", value=self.sqlstate, allowed="a SQLSTATE such as 40001")
        if "\0" in self.message or TAG in self.message:
            raise BadValue(field="attributes.message", value=self.message, allowed="a text")

    @property
    def fatal(self) -> bool:
        """Whether the connection ends with it."""
        return FATAL.fullmatch(self.sqlstate) is not None

    def screen(self, way: MessageWay, rng: Random) -> Screen[PgError]:
        """The refusal, or the last word."""
        return _Last(self, way, rng) if self.fatal else _Raise(self, way, rng)


class _Last(Answering[PgError]):
    def answer(self, message: Message) -> bytes:
        said = {"S": "FATAL", "V": "FATAL", "C": self.kind.sqlstate, "M": self.kind.message}
        body = b"".join(code.encode() + text.encode() + b"\0" for code, text in said.items()) + b"\0"
        return _message(b"E", body)

    @property
    def closes(self) -> bool:
        return True


class _Raise(Screen[PgError]):
    """`_swallows`: a batch waits to be refused as a whole. `_early`: it was refused at a Flush, before its Sync."""

    def __init__(self, kind: PgError, way: MessageWay, rng: Random) -> None:
        super().__init__(kind, way, rng)
        self._queue = Queue(way, "upstream")
        self._swallows = self._early = False
        self._ready: Message | None = None  # the end of an exchange whose Sync has not come

    def message(self, message: Message, stream: Stream) -> None:
        if stream == "downstream":
            self._answer(message)
        elif self._swallows:
            self._swallow(message)
        elif (message.type == "Query" or message.type in BATCH) and self.way.matches(message):
            self.struck(message, stream)
        else:
            self.way.forward(stream, message)

    def struck(self, message: Message, stream: Stream) -> None:
        self.way.hit(message)
        if message.type == "Query":
            self._raise()
        else:
            self._swallows = True
            self._queue.put(message)

    def eof(self, stream: Stream) -> None:
        if stream == "upstream":
            self._queue.let_go()
        super().eof(stream)

    def remove(self) -> None:
        """Not refused yet, a batch goes on; refused, its Sync is still to come and the server will answer that."""
        self._swallows = False
        self._ready = None
        self._queue.let_go()

    def _raise(self) -> None:
        told = self.kind.message.replace("'", "''")
        code = self.kind.sqlstate
        sql = f"DO {TAG}BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = '{told}'; END{TAG}"
        self.way.forward("upstream", made(_message(b"Q", sql.encode() + b"\0")))

    def _swallow(self, message: Message) -> None:
        if message.type in ("Flush", "Sync") and not self._early:
            self._early = message.type == "Flush"
            self._queue.clear()
            self._raise()
        elif not self._early:
            self._queue.put(message)
        if message.type == "Sync":
            self._swallows = self._early = False
            self._let_ready()

    def _answer(self, message: Message) -> None:
        if self._early and message.type == "ReadyForQuery":
            self._ready = message
        else:
            self.way.forward("downstream", message)

    def _let_ready(self) -> None:
        ready, self._ready = self._ready, None
        if ready is not None:
            self.way.forward("downstream", ready)


def _message(type_: bytes, body: bytes) -> bytes:
    return type_ + (len(body) + 4).to_bytes(4, "big") + body
