"""RESP2 and RESP3, as Redis and Valkey speak them: commands, their replies, and what comes unasked.

After redis.io/docs/latest/develop/reference/protocol-spec. A command is told by the type "command", what answers it by
"reply", published messages and other pushes by "push". A subscription's confirmations are replies, in RESP3 too.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from netra_sim.faults.wire.base import MOST, NO_FACTS, OPAQUE, Conversation, Message, Stream
from netra_sim.faults.wire.held import Held
from netra_sim.faults.wire.redis_keys import keys
from netra_sim.faults.wire.scan import (
    ARRAY,
    LINE,
    Garbage,
    Scan,
    all_commands,
    is_one_reply,
    one_command,
    reply_ends,
    words,
)

QUOTED = re.compile(rb"""(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(\S+))(?:\s+|$)""")
PLAIN = re.compile(rb"[a-zA-Z][!#-&(-~ ]*\r?\n")  # an inline command without quotes
TEXT = 512  # characters of a command that are its text
SMALL = 4096  # bytes of a command whose words are all read at once
PUSH, MAP, ERROR, LONG_ERROR, STATUS, TLS = b">%-!+\x16"
PERHAPS_UNASKED = frozenset([PUSH, ARRAY, STATUS])
PUBLISHED = frozenset([b"message", b"pmessage", b"smessage"])


class Facts(Mapping[str, Any]):
    """What a command says: `command`, `args`, `keys` and `key`; for its reply `error`. Found when asked for."""

    __slots__ = ("_error", "_raw", "_words", "command")

    def __init__(self, command: str, raw: bytes, said: Sequence[bytes] | None, error: str | None = None) -> None:
        self.command, self._raw, self._words, self._error = command, raw, said, error

    def failed(self, error: str) -> Facts:
        """The same, of a reply that is an error."""
        return Facts(self.command, self._raw, self._words, error)

    @property
    def _said(self) -> Sequence[bytes]:
        if self._words is None:
            self._words = words(self._raw)
        return self._words

    def __getitem__(self, name: str) -> Any:
        if name == "command":
            return self.command
        if name == "args":
            return tuple(self._said[1:])
        if name == "error" and self._error is not None:
            return self._error
        if name == "keys":
            return tuple(_text(key) for key in keys(self.command, self._said))
        if name == "key" and (found := keys(self.command, self._said)):
            return _text(found[0])
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in ("command", "args", "keys", "key", "error") if self.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Asked:
    """A command, and how many replies it has still to get; what it says is found when asked for."""

    __slots__ = ("_facts", "_raw", "_said", "_text", "exchange", "name", "replies")

    def __init__(self, exchange: int, raw: bytes, said: Sequence[bytes], name: bytes) -> None:
        self.exchange, self.name, self.replies = exchange, name, 1
        self._raw, self._said = raw, said
        self._text: str | None = None
        self._facts: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        """Its words, cut."""
        if self._text is None:
            self._text = _line(self._said)
        return self._text

    @property
    def facts(self) -> Mapping[str, Any]:
        """What it says."""
        if self._facts is None:
            kept = self._said if len(self._raw) <= SMALL or self._raw[0] != ARRAY else None
            self._facts = Facts(self.name.decode("latin-1"), self._raw, kept) if self._said else NO_FACTS
        return self._facts


NOTHING = Asked(0, b"", (), b"")
NOTHING.replies = 0
HEARD = (b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE")
UNSUBSCRIBE = {b"UNSUBSCRIBE": HEARD[0], b"PUNSUBSCRIBE": HEARD[1], b"SUNSUBSCRIBE": HEARD[2]}
SPECIAL = frozenset([*HEARD, *UNSUBSCRIBE, b"CLIENT", b"RESET", b"MONITOR", b"SYNC", b"PSYNC"])


class Resp(Conversation):
    """A connection to Redis."""

    protocol: ClassVar[str] = "redis"

    def __init__(self) -> None:
        self._up, self._down = Held(), Held()
        self._commands, self._replies = Scan(commands=True), Scan()
        self._begun = False
        self._count = 0
        self._asked: deque[Asked] = deque()
        self._telling = NOTHING  # the command of which parts are told
        self._telling_push = False  # parts of a long push are told
        self._resp3 = self._off = self._skip = self._monitor = False
        self._heard: dict[bytes, set[bytes]] = {command: set() for command in HEARD}

    def rest(self, stream: Stream) -> bytes:
        """The bytes of a message that is not complete yet."""
        return (self._up if stream == "upstream" else self._down).joined()

    def awaited(self) -> int:
        """The oldest exchange whose answer is not complete."""
        return self._asked[0].exchange if self._asked else 0

    def feed(self, stream: Stream, data: bytes) -> list[Message]:
        """The messages that these bytes complete, in order."""
        if not data:
            return []
        if stream == "upstream":
            if self._up.fresh and (said := _one(data)):
                asked = self._ask(data, said)
                self._begun = True
                return [Message(data, "command", asked.text, asked.exchange, False, True, asked.facts)]
            return self._read_commands(data)
        if self._down.fresh and len(data) <= MOST:
            if is_one_reply(data):
                return [self._answer(data, data[0], True, True)]
            if ends := reply_ends(data):
                return [self._answer(data[a:b], data[a], True, True) for a, b in pairwise((0, *ends))]
        return self._read(self._down, self._replies, data)

    def skim(self, stream: Stream, data: bytes) -> None:
        """Like `feed`, without messages: what is exactly one command or one reply is only counted."""
        if stream == "upstream":
            if self._up.fresh and (said := _one(data)):
                self._begun = True
                self._ask(data, said)
                return
        elif self._down.fresh and not self._monitor and 0 < len(data) <= MOST and is_one_reply(data):
            if self._asked:
                self._over(self._asked[0], data[0])
            return
        self.feed(stream, data)

    def _read_commands(self, data: bytes) -> list[Message]:
        if not self._begun and data[0] == TLS:
            self._give_up("TLS", self._up, self._down)
        self._begun = True
        if self._up.fresh and len(data) <= MOST and (found := all_commands(data, SMALL)):
            return self._read_all(found)
        return self._read(self._up, self._commands, data)

    def _read_all(self, found: list[tuple[bytes, list[bytes]]]) -> list[Message]:
        """A pipeline of usual commands; behind one that ends the conversation nothing is understood."""
        told: list[Message] = []
        for n, (raw, said) in enumerate(found):
            if self._up.blind:
                return [*told, Message(b"".join(raw for raw, _ in found[n:]), OPAQUE)]
            asked = self._ask(raw, said)
            told.append(Message(raw, "command", asked.text, asked.exchange, False, True, asked.facts))
        return told

    def _give_up(self, why: str, *sides: Held) -> None:
        self.opaque = self.opaque or why
        for side in sides:
            side.blind, side.fresh = True, False

    def _read(self, side: Held, scan: Scan, data: bytes) -> list[Message]:
        """Whole messages, parts of a long one, and from the first garbage on what is not understood."""
        told: list[Message] = []
        if (found := side.take(data)) is None:
            return told
        start = 0
        try:
            while start < len(found) and not side.blind:
                if not (end := self._end(scan, found, start, side.partly)):
                    start = self._tell_parts(side, scan, found, start, scan.at, told)
                    break
                start = self._tell_parts(side, scan, found, start, end - 1, told)
                told.append(self._tell(side, scan, found[start:end], final=True))
                start = end
                scan.begin(end)
        except Garbage:
            self._give_up("not RESP", side)
        if side.blind:
            told += [Message(found[start:], OPAQUE)] if start < len(found) else []
            start = len(found)
        side.keep(found, start, wanted=scan.at - start)
        scan.at -= start
        return told

    def _end(self, scan: Scan, data: bytes, start: int, partly: bool) -> int:
        """Where the message ends, 0 while it is not known."""
        inline = scan is self._commands and not scan.kind and not partly and data[start] != ARRAY
        return _line_end(data, start) if inline else scan.end(data)

    def _tell_parts(self, side: Held, scan: Scan, data: bytes, start: int, until: int, told: list[Message]) -> int:
        """Tell what can be told of a message that is too long to be kept; gives where the rest begins."""
        while min(until, len(data)) - start >= MOST:
            told.append(self._tell(side, scan, data[start : start + MOST], final=False))
            start += MOST
        return start

    def _tell(self, side: Held, scan: Scan, raw: bytes, *, final: bool) -> Message:
        first, side.partly = not side.partly, not final
        if side is self._down:
            return self._answer(raw, scan.kind, first, final)
        if first:
            self._telling = self._ask(raw, None)
        asked = self._telling
        return Message(raw, "command", asked.text, asked.exchange, False, first and final, asked.facts)

    # -- commands -------------------------------------------------------------------------------------------------

    def _ask(self, raw: bytes, said: Sequence[bytes] | None) -> Asked:
        """A command has come: number it, and expect its replies."""
        if said is None:
            said = _inline(raw) if raw[0] != ARRAY else words(raw, SMALL)
        if not said:
            return NOTHING  # an empty line or an empty array, which gets no reply
        self._count += 1
        name = said[0].upper()
        asked = Asked(self._count, raw, said, name)
        if self._off or self._skip or name in SPECIAL:
            asked.replies = self._expected(name, said)
        if asked.replies and not self._down.blind:
            self._asked.append(asked)
        return asked

    def _expected(self, command: bytes, said: Sequence[bytes]) -> int:
        """How many replies a command gets that changes the connection, or comes while replies are off."""
        if command == b"CLIENT" and len(said) == 3 and said[1].upper() == b"REPLY":
            return self._switch(said[2].upper())
        if command == b"RESET":
            self._off = self._skip = self._monitor = False
            for channels in self._heard.values():
                channels.clear()
            return 1
        muted = self._off or self._skip
        self._skip = False
        replies = self._follow(command, said)
        return 0 if muted else replies

    def _switch(self, to: bytes) -> int:
        """CLIENT REPLY: ON is answered, OFF and SKIP are not."""
        if to == b"ON":
            self._off = self._skip = False
        elif to == b"OFF":
            self._off = True
        elif to == b"SKIP":
            self._skip = not self._off
        return int(to not in (b"OFF", b"SKIP") and not self._off)

    def _follow(self, command: bytes, said: Sequence[bytes]) -> int:
        if command in self._heard:
            self._heard[command].update(said[1:])
            return max(1, len(said) - 1)
        if command in UNSUBSCRIBE:
            channels = self._heard[UNSUBSCRIBE[command]]
            replies = len(said) - 1 or len(channels)
            channels.difference_update(said[1:] or tuple(channels))
            return max(1, replies)
        if command in (b"SYNC", b"PSYNC"):
            self._give_up("replication", self._up, self._down)
        self._monitor = self._monitor or command == b"MONITOR"
        return 1

    # -- replies --------------------------------------------------------------------------------------------------

    def _answer(self, raw: bytes, kind: int, first: bool, final: bool) -> Message:
        """A reply, or a push."""
        asked = self._asked[0] if self._asked else NOTHING
        if kind in PERHAPS_UNASKED and first and self._unasked(raw, kind, asked):
            self._telling_push = not final
            return _push(raw, whole=final)
        if not first and self._telling_push:
            self._telling_push = not final
            return Message(raw, "push", whole=False)
        facts = asked.facts
        if kind in (ERROR, LONG_ERROR):
            facts = _failed(asked, raw)
        last = final and self._over(asked, kind)
        return Message(raw, "reply", asked.text, asked.exchange, last, first and final, facts)

    def _over(self, asked: Asked, kind: int) -> bool:
        """One more reply to a command; whether it was the last one."""
        if asked is NOTHING:
            return False
        asked.replies -= 1
        if asked.replies and kind in (ARRAY, PUSH):
            return False
        self._asked.popleft()
        if asked.name == b"HELLO" and kind in (MAP, ARRAY):
            self._resp3 = kind == MAP
        elif asked.name == b"RESET":
            self._resp3 = False
        return True

    def _unasked(self, raw: bytes, kind: int, asked: Asked) -> bool:
        """Whether it answers nothing: a push, but for a confirmation; a message of RESP2; a line of MONITOR."""
        if kind == STATUS:
            return self._monitor and raw[1:2].isdigit()
        if kind == ARRAY and (self._resp3 or not any(self._heard.values())):
            return False
        word = next(iter(words(raw, 64)), b"")
        if kind == ARRAY:
            return word in PUBLISHED
        return asked is NOTHING or word != asked.name.lower()


def _one(data: bytes) -> Sequence[bytes] | None:
    """The words of what is exactly one short command of a usual form, None for what is to be read in full."""
    if not data or len(data) > SMALL:
        return None
    if data[0] == ARRAY:
        return one_command(data)
    return data.split() if PLAIN.fullmatch(data) else None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _line(said: Sequence[bytes]) -> str:
    """Words as one text, cut."""
    if len(said) > TEXT or any(len(word) > TEXT for word in said):
        said = [word[: 4 * TEXT] for word in said[:TEXT]]
    return _text(b" ".join(said))[:TEXT]


def _push(raw: bytes, *, whole: bool) -> Message:
    """What came unasked: its words are its text; its kind, and the channel of a published message, its facts."""
    said = words(raw, SMALL)
    facts: dict[str, Any] = {"kind": _text(said[0])} if said else {}
    if said and said[0] in PUBLISHED and len(said) > 2:
        facts["channel"] = _text(said[-2])
    return Message(raw, "push", _line(said), whole=whole, facts=facts)


def _failed(asked: Asked, raw: bytes) -> Mapping[str, Any]:
    error = _text(raw[raw.find(b"-") + 1 : -2] if raw[0] == ERROR else raw[raw.find(b"\r\n") + 2 : -2])
    return asked.facts.failed(error) if isinstance(asked.facts, Facts) else {"error": error}


def _line_end(data: bytes, start: int) -> int:
    """Where an inline command ends."""
    if data[start] < 32 and data[start] not in b"\r\n\t":
        raise Garbage
    end = data.find(b"\n", start, start + LINE) + 1
    if not end and len(data) - start >= LINE:
        raise Garbage
    return end


def _inline(raw: bytes) -> list[bytes]:
    """The words of an inline command, quotes taken off; escapes stay as they are."""
    found = QUOTED.findall(raw.strip())
    return [double or single or bare for double, single, bare in found]
