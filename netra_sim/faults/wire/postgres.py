"""The protocol of Postgres, version 3: requests and answers, each with the SQL of the statement it is about.

After postgresql.org/docs/current/protocol.html; types are named as there. An exchange is what one ReadyForQuery ends:
the first is the startup, then a Query, or all up to a Sync.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

from netra_sim.faults.wire.base import MOST, NO_FACTS, OPAQUE, Conversation, Message, Stream
from netra_sim.faults.wire.held import Held
from netra_sim.faults.wire.postgres_facts import READERS, Facts, names, text
from netra_sim.faults.wire.scan import Garbage

REQUESTS = {
    ord(letter): name
    for letter, name in {
        "Q": "Query", "P": "Parse", "B": "Bind", "D": "Describe", "E": "Execute", "C": "Close", "S": "Sync",
        "H": "Flush", "F": "FunctionCall", "d": "CopyData", "c": "CopyDone", "f": "CopyFail", "X": "Terminate",
        "p": "PasswordMessage",
    }.items()
}  # fmt: skip
ANSWERS = {
    ord(letter): name
    for letter, name in {
        "R": "Authentication", "K": "BackendKeyData", "S": "ParameterStatus", "Z": "ReadyForQuery",
        "T": "RowDescription", "D": "DataRow", "C": "CommandComplete", "I": "EmptyQueryResponse",
        "E": "ErrorResponse", "N": "NoticeResponse", "A": "NotificationResponse", "1": "ParseComplete",
        "2": "BindComplete", "3": "CloseComplete", "t": "ParameterDescription", "n": "NoData",
        "s": "PortalSuspended", "G": "CopyInResponse", "H": "CopyOutResponse", "W": "CopyBothResponse",
        "d": "CopyData", "c": "CopyDone", "V": "FunctionCallResponse", "v": "NegotiateProtocolVersion",
    }.items()
}  # fmt: skip
FINISHES = {  # the request that an answer is the last one to
    "ParseComplete": "Parse", "BindComplete": "Bind", "CloseComplete": "Close", "RowDescription": "Describe",
    "NoData": "Describe", "CommandComplete": "Execute", "EmptyQueryResponse": "Execute", "PortalSuspended": "Execute",
}  # fmt: skip
AUTHENTICATION = {
    0: "AuthenticationOk", 2: "AuthenticationKerberosV5", 3: "AuthenticationCleartextPassword",
    5: "AuthenticationMD5Password", 7: "AuthenticationGSS", 8: "AuthenticationGSSContinue", 9: "AuthenticationSSPI",
    10: "AuthenticationSASL", 11: "AuthenticationSASLContinue", 12: "AuthenticationSASLFinal",
}  # fmt: skip
PASSWORDS = {  # what the client's "p" is, by what was asked for
    "AuthenticationSASL": "SASLInitialResponse", "AuthenticationSASLContinue": "SASLResponse",
    "AuthenticationGSS": "GSSResponse", "AuthenticationGSSContinue": "GSSResponse", "AuthenticationSSPI": "GSSResponse",
}  # fmt: skip
SPECIAL = {80877102: "CancelRequest", 80877103: "SSLRequest", 80877104: "GSSENCRequest"}
NOBODYS = frozenset(["ParameterStatus", "NotificationResponse"])
LONGEST = 1 << 30  # bytes of a message, Postgres's own limit
LONGEST_STARTUP = 10_000  # bytes, its limit for what comes before authentication
TLS, ROW = 0x16, ord("D")
HEADER = struct.Struct(">BI")
STARTUP = struct.Struct(">II")


class Exchange:
    """What one ReadyForQuery ends: its requests that have no answer yet, each with its SQL."""

    __slots__ = ("number", "simple", "steps", "text")

    def __init__(self, number: int) -> None:
        self.number, self.text = number, ""
        self.simple = False  # a Query ends it
        self.steps: deque[tuple[str, str]] = deque()


NOTHING = Exchange(0)


class Side(Held):
    """One direction, with what is left of a message that is told in parts."""

    __slots__ = ("left", "telling")

    def __init__(self) -> None:
        super().__init__()
        self.left = 0
        self.telling = Message(b"", OPAQUE)


class Postgres(Conversation):
    """A connection to Postgres."""

    protocol: ClassVar[str] = "postgres"

    def __init__(self) -> None:
        self._up, self._down = Side(), Side()
        self._starting, self._encryption = True, ""  # no type byte yet; the request whose answer is a single byte
        self._password = "PasswordMessage"
        self._count = 1
        self._open: Exchange | None = None  # the exchange that a Sync will end
        self._copying: Exchange | None = None
        self._asked: deque[Exchange] = deque([Exchange(1)])
        self._statements: dict[str, str] = {}
        self._portals: dict[str, str] = {}

    def rest(self, stream: Stream) -> bytes:
        """The bytes of a message that is not complete yet."""
        return (self._up if stream == "upstream" else self._down).joined()

    def awaited(self) -> int:
        """The oldest exchange whose answer is not complete."""
        return self._asked[0].number if self._asked else 0

    def feed(self, stream: Stream, data: bytes) -> list[Message]:
        """The messages that these bytes complete, in order."""
        told: list[Message] = []
        side = self._up if stream == "upstream" else self._down
        if data and (found := side.take(data)) is not None:
            self._read(side, found, told)
        return told

    def skim(self, stream: Stream, data: bytes) -> None:
        """Like `feed`, without messages: rows that came as a whole are only counted off."""
        side = self._up if stream == "upstream" else self._down
        if data and (found := side.take(data)) is not None:
            self._read(side, found, [], rows=side is self._up)

    def _read(self, side: Side, found: bytes, told: list[Message], *, rows: bool = True) -> None:
        """Tell what there is, rows too or not."""
        start, size, wanted = 0, len(found), 0
        try:
            while start < size and not side.blind:
                if not rows and found[start] == ROW and not side.left and (end := _rows_end(found, start)) > start:
                    start = end
                    continue
                length = side.left or self._length(side, found, start, size)
                wanted = min(length, MOST)
                if not length or size - start < wanted:
                    break
                told.append(self._tell(side, found[start : start + wanted], length))
                start += wanted
        except Garbage:
            self._give_up("not Postgres", side)
        if side.blind and start < size:
            told.append(Message(found[start:], OPAQUE))
            start = size
        side.keep(found, start, wanted=wanted)

    def _give_up(self, why: str, *sides: Side) -> None:
        self.opaque = self.opaque or why
        for side in sides:
            side.blind, side.left = True, 0

    def _length(self, side: Side, data: bytes, start: int, size: int) -> int:
        """Of the message that begins there, 0 while it is not known; Garbage when none begins there."""
        up = side is self._up
        if up and self._starting:
            return self._startup_length(data, start, size)
        if not up and self._encryption and data[start] in b"SNG":
            return 1
        if data[start] not in (REQUESTS if up else ANSWERS):
            raise Garbage
        if size - start < 5:
            return 0
        length = int(HEADER.unpack_from(data, start)[1])
        if not 4 <= length <= LONGEST:
            raise Garbage
        return length + 1

    def _startup_length(self, data: bytes, start: int, size: int) -> int:
        if data[start] == TLS:
            self._give_up("TLS", self._up, self._down)
            return 0
        if data[start]:
            raise Garbage
        if size - start < 8:
            return 0
        length, code = STARTUP.unpack_from(data, start)
        if not 8 <= length <= LONGEST_STARTUP or (code not in SPECIAL and code >> 16 != 3):
            raise Garbage
        return int(length)

    def _tell(self, side: Side, raw: bytes, length: int) -> Message:
        """A message, or a part of one; the first part tells what it is."""
        first, side.left = not side.left, length - len(raw)
        if first:
            told = self._request(raw) if side is self._up else self._answer(raw)
            if not side.left:
                return told
            side.telling = told
        told, last = side.telling, side.telling.last and not side.left
        return Message(raw, told.type, told.text, told.exchange, last, False, told.facts)

    # -- requests -------------------------------------------------------------------------------------------------

    def _request(self, raw: bytes) -> Message:
        name = self._start(raw) if self._starting else REQUESTS[raw[0]]
        if name == "PasswordMessage":
            name = self._password
        if name in STEPS:
            exchange = self._step(name, raw)
        elif name == "Terminate":
            exchange = NOTHING
        else:  # of the startup or a copy
            exchange = self._copying or (self._asked[0] if self._asked else NOTHING)
        return Message(raw, name, exchange.text, exchange.number, False, True, _facts(name, raw))

    def _start(self, raw: bytes) -> str:
        name = SPECIAL.get(STARTUP.unpack_from(raw)[1], "StartupMessage")
        self._starting = name != "StartupMessage"
        self._encryption = name if name in ("SSLRequest", "GSSENCRequest") else ""
        return name

    def _step(self, name: str, raw: bytes) -> Exchange:
        """A request of the simple or the extended query: into the open exchange, or a new one."""
        exchange = self._open or (self._unsynced() if name == "Sync" else None) or self._begin()
        self._open = None if name in ENDS else exchange
        exchange.simple = name == "Query"
        sql = self._sql(name, raw)
        if sql is not None:
            exchange.text = sql
        if name not in ("Sync", "Flush"):
            exchange.steps.append((name, exchange.text))
        return exchange

    def _unsynced(self) -> Exchange | None:
        """The exchange of a copy whose first Sync the server ignored, since it came before the copied data."""
        exchange, self._copying = self._copying, None
        return None if exchange is None or exchange.simple else exchange

    def _begin(self) -> Exchange:
        self._count += 1
        exchange = Exchange(self._count)
        if not self._down.blind:
            self._asked.append(exchange)
        return exchange

    def _sql(self, name: str, raw: bytes) -> str | None:
        """What a request is about, None where that is what the one before it was about."""
        if name == "Query":
            return text(raw[5:-1] if raw[-1:] == b"\0" else raw[5:])
        if name == "Parse":
            statement, sql = names(raw)
            self._statements[statement] = sql
            return sql
        if name == "Bind":
            portal, statement = names(raw)
            self._portals[portal] = sql = self._statements.get(statement, "")
            return sql
        if name == "Execute":
            return self._portals.get(names(raw)[0], "")
        if name in ("Describe", "Close"):
            known = self._statements if raw[5:6] == b"S" else self._portals
            target = names(raw, 6)[0]
            return known.get(target, "") if name == "Describe" else known.pop(target, "")
        return "" if name == "FunctionCall" else None

    # -- answers --------------------------------------------------------------------------------------------------

    def _answer(self, raw: bytes) -> Message:
        if self._encryption and len(raw) == 1:
            return self._encrypted(raw)
        name = ANSWERS[raw[0]]
        exchange = self._asked[0] if self._asked else NOTHING
        if name in NOBODYS:
            return Message(raw, name, facts=_facts(name, raw))
        if name == "ReadyForQuery":
            self._ready(exchange)
            return Message(raw, name, exchange.text, exchange.number, exchange.number > 0, True, _facts(name, raw))
        if name == "Authentication":
            name = AUTHENTICATION.get(int.from_bytes(raw[5:9], "big"), name)
            self._password = PASSWORDS.get(name, "PasswordMessage")
        elif name in ("CopyInResponse", "CopyBothResponse"):
            self._copying = exchange if exchange.number else None
        return self._about(name, raw, exchange)

    def _about(self, name: str, raw: bytes, exchange: Exchange) -> Message:
        """An answer to the oldest request that is not done with; after an error all others up to the Sync are."""
        steps, sql, last = exchange.steps, exchange.text, False
        if steps:
            step, sql = steps[0]
            if FINISHES.get(name) == step:
                steps.popleft()
            elif name == "ErrorResponse":
                steps.clear()
                exchange.text = sql
        if name == "ErrorResponse":
            last = exchange.number > 0 and (b"\0VFATAL\0" in raw or b"\0VPANIC\0" in raw)
        return Message(raw, name, sql, exchange.number, last, True, _facts(name, raw))

    def _ready(self, exchange: Exchange) -> None:
        if self._asked:
            self._asked.popleft()
        if self._copying is exchange:
            self._copying = None

    def _encrypted(self, raw: bytes) -> Message:
        """The single byte that answers SSLRequest or GSSENCRequest."""
        name = self._encryption.replace("Request", "Response")
        self._encryption = ""
        if raw in (b"S", b"G"):
            self._give_up("TLS" if raw == b"S" else "GSS encryption", self._up, self._down)
        return Message(raw, name, exchange=1)


STEPS = frozenset(["Query", "Parse", "Bind", "Describe", "Execute", "Close", "Sync", "Flush", "FunctionCall"])
ENDS = frozenset(["Query", "Sync", "FunctionCall"])


def _rows_end(data: bytes, at: int) -> int:
    """Where the whole rows end that begin there."""
    size = len(data)
    while size - at >= 5 and data[at] == ROW:
        length = HEADER.unpack_from(data, at)[1] + 1
        if not 5 <= length <= min(size - at, LONGEST):
            break
        at += length
    return at


def _facts(name: str, raw: bytes) -> Mapping[str, Any]:
    reader = READERS.get(name)
    return NO_FACTS if reader is None else Facts(reader, raw)
