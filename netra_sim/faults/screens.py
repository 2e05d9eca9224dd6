"""What understands one connection: it reads along, and with faults set on messages, hands these through screens.

The client and the server see different conversations once a fault has made or swallowed a message. So there are two
readers from then on: one is fed what the client says and hears, the other what the server hears and says.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Protocol, cast

from netra_sim.faults import link as links
from netra_sim.faults.kinds.base import Timer
from netra_sim.faults.kinds.message import MessageKind, Screen, made
from netra_sim.faults.recording import Recording
from netra_sim.faults.toxic import Toxic
from netra_sim.faults.wire.base import OPAQUE, STREAMS, Conversation, Message, Stream
from netra_sim.faults.wire.blind import Blind
from netra_sim.faults.wire.http import Http
from netra_sim.faults.wire.postgres import Postgres
from netra_sim.faults.wire.resp import Resp

CONVERSATIONS: Mapping[str, type[Conversation]] = {c.protocol: c for c in (Postgres, Resp, Http)}
_log = logging.getLogger(__name__)


class Chain(Protocol):
    """The link of one direction, as the screens see it: its byte-level chain and its connection."""

    screened: int  # bytes that the screens hold

    def pass_on(self, data: bytes) -> None:
        """Into the byte-level chain."""
        ...

    def pass_end(self) -> None:
        """The end of the stream, into the byte-level chain."""
        ...

    def drained(self, call: Callable[[], None]) -> None:
        """Call once the byte-level chain holds nothing."""
        ...

    def balance(self) -> None:
        """More is held, or less."""
        ...


class Ends(links.Ends, Protocol):
    """The connection."""

    def cut(self) -> None:
        """RST on both sockets, once they have sent what they hold."""
        ...


class Stage:
    """The screens of one connection, in the order of their setting."""

    def __init__(
        self, conversation: Conversation, links: Mapping[Stream, Chain], ends: Ends, number: int, clock: Any
    ) -> None:
        self.client = self.server = conversation
        self.ends, self.number, self.clock = ends, number, clock
        self.links = links
        self.protocol = conversation.protocol
        self.over = False
        self.recording: Callable[[], Recording | None] = lambda: None
        self.screened: dict[Stream, bool] = dict.fromkeys(STREAMS, False)  # whether a screen sees the direction
        self._places: list[_Place] = []
        self._answered = False  # whether a screen wants to hear of answers
        self._pending: dict[Stream, bytearray] = {stream: bytearray() for stream in STREAMS}
        self._gone: dict[Stream, int] = dict.fromkeys(STREAMS, 0)  # of a message that has not come in full

    # -- what comes -------------------------------------------------------------------------------------------------

    def feed(self, stream: Stream, data: bytes) -> None:
        """Bytes from a socket, where a screen stands."""
        self._pending[stream] += data
        for message in self._read(self._near(stream), stream, data):
            if self.over:
                return
            self._come(stream, message)

    def ended(self, stream: Stream) -> None:
        """The end of a stream: what came of a message goes first."""
        self._let_go(stream)
        self._end_from(0, stream)

    def _come(self, stream: Stream, message: Message) -> None:
        size = len(message.raw)
        if gone := min(self._gone[stream], size):
            self._gone[stream] -= gone
            message = message._replace(raw=message.raw[gone:], whole=False)
        del self._pending[stream][: size - gone]
        if message.raw:
            self._pass_from(0, stream, message)

    def _let_go(self, stream: Stream) -> None:
        rest = bytes(self._pending[stream])
        self._pending[stream].clear()
        if rest:
            self._gone[stream] += len(rest)
            self._pass_from(0, stream, made(rest))

    # -- what is read -----------------------------------------------------------------------------------------------

    def _near(self, stream: Stream) -> Conversation:
        """The reader of the end from which a stream comes."""
        return self.client if stream == "upstream" else self.server

    def listen(self, stream: Stream, data: bytes) -> None:
        """Bytes that have gone on as they came, since no screen stands there: both ends see the same."""
        recording = self.recording()
        if recording is None:
            self._skim(self.client, stream, data)
        else:
            for message in self._read(self.client, stream, data):
                recording.note(self.number, stream, message)
        if self.server is not self.client:
            self._skim(self.server, stream, data)

    def _skim(self, reader: Conversation, stream: Stream, data: bytes) -> None:
        try:
            reader.skim(stream, data)
        except Exception as error:
            self._failed(error)
            self._blinded(reader, stream)

    def _read(self, reader: Conversation, stream: Stream, data: bytes) -> list[Message]:
        try:
            return reader.feed(stream, data)
        except Exception as error:  # a defect in the reader must not leave a connection hanging
            self._failed(error)
            return self._blinded(reader, stream)

    def _blinded(self, reader: Conversation, stream: Stream) -> list[Message]:
        """Nothing is understood any more of what this reader read; what is pending there goes on."""
        if self.client is self.server:
            self.client = self.server = Blind()
            return []
        near: Stream = "upstream" if reader is self.client else "downstream"
        if reader is self.client:
            self.client = Blind()
        else:
            self.server = Blind()
        if near != stream:
            self._let_go(near)
        self._gone[near] = 0
        rest = bytes(self._pending[near])
        return [Message(rest, OPAQUE)] if rest else []

    def _failed(self, error: Exception) -> None:
        _log.error("a reader of %s failed", self.protocol, exc_info=error)
        for place in self._places:
            place.toxic.failed(error)

    # -- what is handed on ------------------------------------------------------------------------------------------

    def _pass_from(self, at: int, stream: Stream, message: Message) -> None:
        if self.over:
            return
        while at < len(self._places):
            place = self._places[at]
            if stream in place.sees:
                place.message(message, stream)
                return
            at += 1
        self._leave(stream, message.raw)

    def _end_from(self, at: int, stream: Stream) -> None:
        if at < len(self._places):
            self._places[at].ended(stream)
        else:
            self.links[stream].pass_end()

    def _leave(self, stream: Stream, raw: bytes) -> None:
        """Behind the last screen: the other end's reader hears it, and the screens hear of answers."""
        self.links[stream].pass_on(raw)
        if self.server is self.client:
            return
        if stream == "upstream":
            self._skim(self.server, stream, raw)
        elif not self._answered:
            self._skim(self.client, stream, raw)
        elif any(message.last for message in self._read(self.client, stream, raw)):
            for place in tuple(self._places):
                place.answered()

    def behind(self, place: _Place, stream: Stream, message: Message) -> None:
        """From a screen to the next one."""
        self._pass_from(self._places.index(place) + 1, stream, message)

    def end_behind(self, place: _Place, stream: Stream) -> None:
        """The end of a stream, from a screen to the next one."""
        self._end_from(self._places.index(place) + 1, stream)

    def balance(self) -> None:
        """Screens hold more, or less."""
        for stream, link in self.links.items():
            link.screened = sum(place.held[stream] for place in self._places)
            link.balance()

    # -- what is set ------------------------------------------------------------------------------------------------

    @property
    def toxics(self) -> list[Toxic]:
        """The faults that are set, in order."""
        return [place.toxic for place in self._places]

    def add(self, toxic: Toxic, rng: Random) -> None:
        """A fault at the end; a message of which a part has gone on is not its to strike."""
        if self.server is self.client and not isinstance(self.client, Blind):
            try:
                self.server = copy.deepcopy(self.client)
            except Exception as error:  # a reader that cannot be copied cannot be trusted
                toxic.failed(error)
                self.client = self.server = Blind()
        place = _Place(self, toxic)
        place.screen = cast(MessageKind, toxic.kind).screen(place, rng)
        place.sees = (toxic.stream,) if place.screen.one_way else STREAMS
        self._places.append(place)
        self._look()

    def remove(self, toxic: Toxic) -> None:
        """Take a fault away; what it holds goes to the next one, in order, and with the last what is pending."""
        for place in [p for p in self._places if p.toxic is toxic]:
            place.remove()
            if place not in self._places:
                continue  # its connection ended meanwhile
            self._places.remove(place)
            self._look()
            place.gone = True
            self.balance()

    def _look(self) -> None:
        """Screens have come or gone: a direction that none sees any more lets go, one that is seen now begins."""
        self._answered = any(not place.screen.one_way for place in self._places)
        for stream in STREAMS:
            before, seen = self.screened[stream], any(stream in place.sees for place in self._places)
            self.screened[stream] = seen
            if seen and not before:
                self._gone[stream] = len(self._near(stream).rest(stream))
            elif before and not seen:
                self._leave_unread(stream)

    def _leave_unread(self, stream: Stream) -> None:
        """What came of a message: the near reader has it already."""
        rest = bytes(self._pending[stream])
        self._pending[stream].clear()
        if rest:
            self.links[stream].pass_on(rest)
        if rest and self.server is not self.client:
            self._skim(self.server if stream == "upstream" else self.client, stream, rest)

    def update(self, toxic: Toxic) -> bool:
        """The fault's attributes have changed; False when it is not set here."""
        places = [place for place in self._places if place.toxic is toxic]
        for place in places:
            place.screen.update(toxic.kind)
        return bool(places)

    def clear(self) -> None:
        """The connection has gone: no screen may act any more."""
        self.over = True
        places, self._places = self._places, []
        for place in places:
            place.gone = True
            place.remove()


class _Place:
    """A screen's place, and its way onwards; with a screen that failed, an open way."""

    screen: Screen[Any]
    sees: tuple[Stream, ...]

    def __init__(self, stage: Stage, toxic: Toxic) -> None:
        self.toxic, self.stream, self.protocol = toxic, toxic.stream, stage.protocol
        self.held: dict[Stream, int] = dict.fromkeys(STREAMS, 0)
        self.gone = False
        self._stage, self._broken = stage, False
        self._forwarded: Message | None = None

    # -- to the screen: a defect in it opens the way ------------------------------------------------------------------

    def message(self, message: Message, stream: Stream) -> None:
        if self._broken:
            self.forward(stream, message)
            return
        self._forwarded = None
        try:
            self.screen.message(message, stream)
        except Exception as error:
            self._fail(error, self.screen.message)
            if self._forwarded is not message:
                self.forward(stream, message)

    def ended(self, stream: Stream) -> None:
        if self._broken or not self._try(self.screen.eof, stream):
            self.eof(stream)

    def answered(self) -> None:
        if not self._broken:
            self._try(self.screen.answered)

    def remove(self) -> None:
        if not self._broken:
            self._try(self.screen.remove)

    def _try(self, call: Callable[..., None], *given: Any) -> bool:
        try:
            call(*given)
        except Exception as error:
            self._fail(error, call)
            return False
        return True

    def _fail(self, error: Exception, failed: Callable[..., None]) -> None:
        """A defect in a screen must not leave a connection hanging."""
        _log.error("the fault %s failed", self.toxic.name, exc_info=error)
        self.toxic.failed(error)
        self._broken = True
        if failed != self.screen.remove:
            try:
                self.screen.remove()
            except Exception as another:
                self.toxic.failed(another)
        self.held = dict.fromkeys(self.held, 0)
        self._stage.balance()

    # -- MessageWay ---------------------------------------------------------------------------------------------------

    def forward(self, stream: Stream, message: Message) -> None:
        self._forwarded = message
        if not self.gone:
            self._stage.behind(self, stream, message)

    def eof(self, stream: Stream) -> None:
        if not self.gone:
            self._stage.end_behind(self, stream)

    def close(self) -> None:
        self._finish(self._stage.ends.close)

    def hang_up(self) -> None:
        self._finish(self._stage.ends.hang_up)

    def reset(self) -> None:
        self._finish(self._stage.ends.reset)

    def cut(self) -> None:
        self._finish(self._stage.ends.cut)

    def _finish(self, how: Callable[[], None]) -> None:
        """Nothing that comes afterwards passes any more."""
        if not self.gone and not self._stage.over:
            self._stage.over = True
            how()

    def drained(self, stream: Stream, call: Callable[[], None]) -> None:
        self._stage.links[stream].drained(call)

    def hold(self, stream: Stream, held: int) -> None:
        if not self.gone:
            self.held[stream] = held
            self._stage.balance()

    def now(self) -> float:
        return float(self._stage.clock.time())

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        def guarded() -> None:
            self._try(call)

        return cast(Timer, self._stage.clock.call_later(seconds, guarded))

    def awaited(self) -> int:
        return self._stage.client.awaited()

    def matches(self, message: Message) -> bool:
        matcher = cast(MessageKind, self.toxic.kind).match
        return matcher.fits(message, self._stage.number) and self.toxic.counter.strikes(matcher, self.screen.rng)

    def hit(self, message: Message) -> None:
        self.toxic.hit(self._stage.number, message.text)
