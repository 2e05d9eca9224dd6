"""Both directions of a connection with its stage, between ends in memory; the protocol is one of lines."""

from collections.abc import Mapping
from typing import Any

from netra_sim.faults import kinds
from netra_sim.faults.screened import ScreenedLink
from netra_sim.faults.screens import Stage
from netra_sim.faults.toxic import Toxic
from netra_sim.faults.wire.base import Conversation, Message, Stream
from netra_sim.kernel.rng import Rng
from tests.unit.faults.memory import Loop, Socket

STREAMS: tuple[Stream, Stream] = ("upstream", "downstream")


class Lines(Conversation):
    """A message is a line; each answers one, in order; a line `boom` is a defect of the reader."""

    protocol = "postgres"

    def __init__(self) -> None:
        self._rest: dict[str, bytes] = {"upstream": b"", "downstream": b""}
        self._asked = self._told = 0

    def feed(self, stream: Stream, data: bytes) -> list[Message]:
        *lines, self._rest[stream] = (self._rest[stream] + data).split(b"\n")
        return [self._message(stream, line) for line in lines]

    def rest(self, stream: Stream) -> bytes:
        return self._rest[stream]

    def awaited(self) -> int:
        return self._told + 1 if self._told < self._asked else 0

    def _message(self, stream: Stream, line: bytes) -> Message:
        if line == b"boom":
            raise RuntimeError("a defect")
        up = stream == "upstream"
        self._asked, self._told = self._asked + up, self._told + (not up)
        return Message(line + b"\n", "line", line.decode(), self._asked if up else self._told, not up)


class Crossing:
    number = 1

    def __init__(self, conversation: Conversation | None = None) -> None:
        self.loop = Loop()
        self.closed = self.was_reset = self.hung_up = self.was_cut = False
        self.links = {stream: ScreenedLink(self, self.loop, stream) for stream in STREAMS}  # type: ignore[arg-type]
        self.stage = Stage(conversation or Lines(), self.links, self, 1, self.loop)
        self.out: dict[Stream, Socket] = {stream: Socket() for stream in STREAMS}
        self.source: dict[Stream, Socket] = {stream: Socket() for stream in STREAMS}
        for stream, link in self.links.items():
            link.stage, link.source = self.stage, self.source[stream]  # type: ignore[assignment]
            link.joined(self.out[stream])  # type: ignore[arg-type]

    def add(self, kind: str, stream: Stream = "upstream", name: str = "it", **attributes: Any) -> Toxic:
        return self.set(kinds.make(kind, attributes), stream, name)

    def set(self, kind: Any, stream: Stream = "upstream", name: str = "it") -> Toxic:
        toxic = Toxic(name, kind, stream)
        self.stage.add(toxic, Rng(1).stream(name))
        return toxic

    def feed(self, data: bytes, stream: Stream = "upstream") -> None:
        self.links[stream].feed(data)

    def said(self, stream: Stream = "upstream") -> bytes:
        return self.out[stream].data

    @property
    def over(self) -> Mapping[str, bool]:
        return {"closed": self.closed, "reset": self.was_reset, "hung_up": self.hung_up, "cut": self.was_cut}

    def close(self) -> None:
        self.closed = True
        self._end()

    def reset(self) -> None:
        self.was_reset = True
        self._end()

    def hang_up(self) -> None:
        self.hung_up = True

    def cut(self) -> None:
        self.was_cut = True

    def finished(self) -> None:
        """Both ends stay as they are."""

    def _end(self) -> None:
        for link in self.links.values():
            link.clear()
