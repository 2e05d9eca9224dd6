"""Where a value of RESP2 or RESP3 ends, found as its bytes come; lengths and nesting only, no values."""

from __future__ import annotations

LINE = 1 << 16  # bytes of the longest line, which is also Redis's limit for an inline command
HEADER = 24  # bytes of the longest line that states a length
CRLF = b"\r\n"
LINES = frozenset(b"+-:_,#(.")  # a value that is one line; "." ends a streamed aggregate
BULKS = frozenset(b"$!=;")  # a length and as many bytes; ";" is a piece of a streamed string
AGGREGATES = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2, ord("|"): 2}  # values to each counted element
ATTRIBUTE, ARRAY, BULK, PIECE, STOP, NEWLINE = b"|*$;.\n"
ENDLESS = 1 << 60


class Garbage(Exception):
    """Bytes that the protocol does not allow."""


class Scan:
    """One value at a time: `begin`, then `end` with the same bytes and more until it tells the end."""

    def __init__(self, *, commands: bool = False) -> None:
        self._commands = commands
        self.begin(0)

    def begin(self, at: int) -> None:
        """A value begins there."""
        self.at, self.kind = at, 0  # the next header, or the end of a string's bytes; the value's first byte
        self._need, self._tail = 1, False
        self._outer: list[int] = []  # what is needed around each streamed value

    def end(self, data: bytes) -> int:
        """Where the value ends, 0 while that has not come; Garbage for what is none."""
        size = len(data)
        while self.at <= size:
            if self._tail and data[self.at - 1] != NEWLINE:
                raise Garbage
            self._tail = False
            if not self._need:
                return self.at
            if self.at == size or not self._header(data, size):
                return 0
        return 0

    def _header(self, data: bytes, size: int) -> bool:
        """Read one line, and the length it states; False while it is not complete."""
        first = data[self.at]
        if self._commands and first != (BULK if self.kind else ARRAY):
            raise Garbage
        simple = first in LINES
        if not simple and first not in BULKS and first not in AGGREGATES:
            raise Garbage
        stop = data.find(CRLF, self.at, self.at + LINE + 2)
        if stop < 0:
            if size - self.at > (LINE if simple else HEADER) + 1:
                raise Garbage
            return False
        if not self.kind and self._need == 1 and first != ATTRIBUTE:
            self.kind = first
        told = b"" if simple else data[self.at + 1 : min(stop, self.at + HEADER)]
        self.at = stop + 2
        self._line(first) if simple else self._length(first, told)
        return True

    def _line(self, first: int) -> None:
        if first == STOP:
            self._leave()
        else:
            self._need -= 1

    def _length(self, first: int, told: bytes) -> None:
        if told == b"?":
            self._outer.append(self._need)
            self._need = ENDLESS
        elif told == b"-1" and first in b"$*":
            self._need -= 1
        elif not told.isdigit() or len(told) > 10:
            raise Garbage
        elif first in BULKS:
            self._bytes(first, int(told))
        else:
            self._need += int(told) * AGGREGATES[first] - (first != ATTRIBUTE)

    def _bytes(self, first: int, length: int) -> None:
        if first != PIECE:
            self._need -= 1
        elif not length:
            self._leave()
            return
        self.at += length + 2
        self._tail = True

    def _leave(self) -> None:
        """A streamed value is over."""
        if not self._outer:
            raise Garbage
        self._need = self._outer.pop() - 1


def words(raw: bytes, most: int = ENDLESS) -> list[bytes]:
    """The strings and numbers of an array, flat, as far as they are there; none begins past `most` bytes."""
    found, at = [], 0
    while (stop := raw.find(CRLF, at, at + LINE)) >= 0 and at < most:
        first, told = raw[at], raw[at + 1 : stop]
        at = stop + 2
        if first in b":+,":
            found.append(told)
        elif first == BULK and told.isdigit():
            found.append(raw[at : at + int(told)])
            at += int(told) + 2
    return found


def one_command(data: bytes) -> list[bytes] | None:
    """The words of a command where the bytes are exactly one of the usual form, without a line's end in them."""
    lines = data.split(CRLF)
    count = len(lines) - 2
    if count < 2 or lines[-1] or lines[0] != b"*%d" % (count >> 1):
        return None
    said = lines[2::2]
    return said if lines[1:-1:2] == [b"$%d" % len(word) for word in said] else None


def is_one_reply(data: bytes) -> bool:
    """Whether the bytes are exactly one line or one string (a quick answer: False may mean not known)."""
    stop = data.find(CRLF)
    first = data[0]
    if first == BULK:
        told = data[1:stop]
        return told.isdigit() and len(told) < 8 and stop + 4 + int(told) == len(data) and data[-1] == NEWLINE
    return stop == len(data) - 2 and stop > 0 and first in LINES and first != STOP


def all_commands(data: bytes, most: int) -> list[tuple[bytes, list[bytes]]] | None:
    """Bytes and words of each command where the bytes are nothing but such as `one_command` takes, of `most` bytes."""
    first, *others = data.split(b"\r\n*")
    found: list[tuple[bytes, list[bytes]]] = []
    for raw in [first, *(b"*" + other for other in others)]:
        whole = raw + CRLF if len(found) < len(others) else raw
        if len(whole) > most or not (said := one_command(whole)):
            return None
        found.append((whole, said))
    return found


def reply_ends(data: bytes) -> list[int] | None:
    """Where each reply ends, where the bytes are nothing but whole lines and strings; else None."""
    found: list[int] = []
    at, size = 0, len(data)
    while at < size:
        stop = data.find(CRLF, at, at + LINE + 2)
        first = data[at]
        if stop < 0:
            return None
        if first == BULK:
            told = data[at + 1 : stop]
            if told != b"-1":
                if not told.isdigit() or len(told) > 7:
                    return None
                stop += 2 + int(told)
                if data[stop : stop + 2] != CRLF:
                    return None
        elif first not in LINES or first == STOP:
            return None
        at = stop + 2
        found.append(at)
    return found
