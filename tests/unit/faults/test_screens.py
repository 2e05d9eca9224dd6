"""The contract that every kind of fault on messages keeps, and the stage that carries them."""

from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.faults import kinds
from netra_sim.faults.kinds.latency import Latency
from netra_sim.faults.kinds.message import MessageKind, MessageWay, Screen
from netra_sim.faults.link import MOST_HELD
from netra_sim.faults.toxic import Toxic
from netra_sim.faults.wire.base import Conversation, Message, Stream
from netra_sim.faults.wire.http import Http
from netra_sim.faults.wire.postgres import Postgres
from netra_sim.faults.wire.resp import Resp
from netra_sim.kernel.errors import BadValue, UnknownName
from netra_sim.kernel.rng import Rng
from tests.unit.faults.crossing import STREAMS, Crossing

ON_MESSAGES = sorted(name for name, kind in kinds.KINDS.items() if issubclass(kind, MessageKind))
CONSERVE = [name for name in ON_MESSAGES if not kinds.KINDS[name].discards]
SLOW = {"delay_message": {"delay": 10_000, "jitter": 5_000}, "http_body": {"how": "slow", "delay": 10_000}}


def slow(name: str, match: dict[str, Any] | None = None) -> MessageKind:
    kind = kinds.make(name, {**SLOW.get(name, {}), "match": match or {}})
    assert isinstance(kind, MessageKind)
    return kind


@pytest.mark.parametrize("name", ON_MESSAGES)
@pytest.mark.parametrize("stream", STREAMS)
def test_no_timer_is_left_after_removal_and_nothing_more_is_heard(name: str, stream: Stream) -> None:
    it = Crossing()
    toxic = it.set(slow(name), stream)
    it.feed(b"a\nb\nc", stream)
    it.links[stream].ended()
    it.stage.remove(toxic)
    assert it.loop.pending == 0
    seen = (it.said(stream), it.out[stream].ends, it.over)
    it.loop.advance(3600)
    assert (it.said(stream), it.out[stream].ends, it.over) == seen


@pytest.mark.parametrize("name", ON_MESSAGES)
@pytest.mark.parametrize("stream", STREAMS)
def test_a_lost_connection_hears_nothing_more(name: str, stream: Stream) -> None:
    it = Crossing()
    toxic = it.set(slow(name), stream)
    it.feed(b"a\nb\n", stream)
    seen = it.said(stream)
    it.links[stream].clear()
    it.loop.advance(3600)
    it.stage.remove(toxic)
    assert (it.said(stream), it.loop.pending) == (seen, 0)


@pytest.mark.parametrize("name", ON_MESSAGES)
def test_what_is_not_named_passes_at_once_and_unchanged(name: str) -> None:
    it = Crossing()
    toxic = it.set(slow(name, {"text": "nothing like it"}))
    it.feed(b"a\nb\nc\n")
    assert (it.said(), toxic.hits, it.loop.pending) == (b"a\nb\nc\n", 0, 0)


@pytest.mark.parametrize("name", CONSERVE)
def test_what_is_held_goes_on_at_removal_and_then_the_end(name: str) -> None:
    it = Crossing()
    toxic = it.set(slow(name, {"text": "x"}))
    it.feed(b"a\nx\n")
    assert it.said() == b"a\n"
    it.feed(b"par")
    it.stage.remove(toxic)
    assert it.said() == b"a\nx\npar"
    it.feed(b"t\nb\n")
    it.links["upstream"].ended()
    assert (it.said(), it.out["upstream"].ends) == (b"a\nx\npart\nb\n", 1)


@pytest.mark.parametrize("name", CONSERVE)
def test_the_end_goes_after_what_is_held(name: str) -> None:
    it = Crossing()
    toxic = it.set(slow(name))
    it.feed(b"a\nb\nc")
    it.links["upstream"].ended()
    it.stage.remove(toxic)
    assert (sorted(it.said()), it.out["upstream"].ends) == (sorted(b"a\nb\nc"), 1)


@pytest.mark.parametrize("name", ["delay_message", "stall"])
def test_a_screen_that_holds_too_much_stops_the_source(name: str) -> None:
    it = Crossing()
    toxic = it.set(slow(name))
    for _ in range(3):
        it.feed(b"x" * (MOST_HELD // 2) + b"\n")
    assert not it.source["upstream"].reading
    assert it.source["downstream"].reading
    it.stage.remove(toxic)
    assert it.source["upstream"].reading
    assert len(it.said()) == 3 * (MOST_HELD // 2 + 1)


def test_without_faults_chunks_go_on_as_they_come_and_one_reader_listens() -> None:
    it = Crossing()
    it.feed(b"a\nb")
    it.feed(b"c\n")
    assert it.out["upstream"].said == [b"a\nb", b"c\n"]
    assert it.stage.client is it.stage.server
    assert it.stage.client.awaited() == 1


def test_a_message_of_which_a_part_has_gone_on_is_not_struck() -> None:
    it = Crossing()
    it.feed(b"half")
    toxic = it.add("drop_message")
    it.feed(b"-gone\nwhole\n")
    assert (it.said(), toxic.hits) == (b"half-gone\n", 1)


ONE_WAY = ["drop_message", "duplicate_message", "delay_message", "reorder_message", "stall", "corrupt_message"]


@pytest.mark.parametrize("name", ONE_WAY)
@pytest.mark.parametrize("stream", STREAMS)
def test_a_fault_of_one_direction_makes_nothing_wait_in_the_other(name: str, stream: Stream) -> None:
    it = Crossing()
    other: Stream = "downstream" if stream == "upstream" else "upstream"
    first = it.set(slow(name, {"text": "x"}), stream)
    it.feed(b"x\nhalf", stream)
    it.feed(b"half", other)
    assert it.said(other) == b"half"
    late = it.add("drop_message", other, "late")
    it.feed(b"-gone\nwhole\n", other)
    assert (it.said(other), late.hits) == (b"half-gone\n", 1)
    it.stage.remove(late)
    it.stage.remove(first)
    assert it.said(stream).endswith(b"half"), "what waited is let go where no fault sees it any more"
    assert not any(it.stage.screened.values())


def test_what_waits_in_one_direction_goes_on_when_a_reader_fails_over_the_other() -> None:
    it = Crossing()
    toxic = it.add("drop_message", match={"text": "b"})
    it.feed(b"a\nhalf")
    it.feed(b"boom\nafter\n", "downstream")
    it.feed(b"-whole\nb\n")
    assert it.said() == b"a\nhalf-whole\nb\n", "nothing is understood any more"
    assert (it.said("downstream"), toxic.hits, toxic.errors) == (b"boom\nafter\n", 0, 2)


def test_both_readers_follow_a_direction_that_no_fault_sees() -> None:
    it = Crossing()
    it.add("drop_message", match={"text": "x"})
    it.feed(b"a\nx\nb\n")
    it.feed(b"1\n2\n", "downstream")
    assert (it.stage.server.awaited(), it.stage.client.awaited()) == (0, 3), "the client still waits for its third"


def test_screens_stand_in_the_order_of_their_setting_and_before_the_bytes() -> None:
    it = Crossing()
    late = Toxic("late", Latency(100), "upstream")
    it.links["upstream"].add(late, Rng(1).stream("late"))
    first = it.add("duplicate_message", name="first", match={"text": "x"})
    second = it.add("drop_message", name="second", match={"text": "x"})
    it.feed(b"a\nx\n")
    assert it.said() == b""
    it.loop.advance(1)
    assert (it.said(), first.hits, second.hits, late.hits) == (b"a\nx\n", 1, 1, 2)


@given(st.data())
def test_any_interleaving_conserves_the_messages(data: st.DataObject) -> None:
    """Whatever is set and taken away, and however it is cut into slices, every byte comes out, and then the end."""
    it, text, at, toxics = Crossing(), b"".join(b"%d\n" % n for n in range(40)) + b"rest", 0, []
    for step in range(20):
        match data.draw(st.sampled_from(["feed", "feed", "add", "remove", "time"])):
            case "feed":
                size = data.draw(st.integers(1, 12))
                it.feed(text[at : at + size])
                at = min(len(text), at + size)
            case "add":
                name, every = data.draw(st.sampled_from(CONSERVE)), data.draw(st.integers(1, 4))
                given = {"delay": data.draw(st.integers(0, 50))} if name == "delay_message" else {}
                toxics.append(it.add(name, name=f"n{step}", match={"every": every}, **given))
            case "remove" if toxics:
                it.stage.remove(toxics.pop(data.draw(st.integers(0, len(toxics) - 1))))
            case "time":
                it.loop.advance(0.02)
    it.feed(text[at:])
    it.links["upstream"].ended()
    for toxic in toxics:
        it.stage.remove(toxic)
    assert sorted(it.said().split(b"\n")) == sorted(text.split(b"\n"))
    assert (it.out["upstream"].ends, it.loop.pending) == (1, 0)


@given(st.sampled_from([Postgres, Resp, Http]), st.lists(st.tuples(st.sampled_from(STREAMS), st.binary(max_size=40))))
def test_garbage_never_raises_out_of_the_link(kind: type[Conversation], fed: list[tuple[Stream, bytes]]) -> None:
    """Every kind stands in its way, and nothing of it is what they name."""
    it = Crossing(kind())
    toxics = [it.set(slow(name, {"text": "^what it never says$"}), name=name) for name in ON_MESSAGES]
    for stream, data in fed:
        it.feed(data, stream)
    for stream in STREAMS:
        it.links[stream].ended()
    for stream in STREAMS:
        assert it.said(stream) == b"".join(data for to, data in fed if to == stream)
        assert it.out[stream].ends == 1
    assert [(toxic.errors, toxic.hits) for toxic in toxics] == [(0, 0)] * len(toxics)


@dataclass(frozen=True)
class Broken(MessageKind):
    name = "broken"

    def screen(self, way: MessageWay, rng: Random) -> Screen[Any]:
        return _Broken(self, way, rng)


class _Broken(Screen[Broken]):
    def struck(self, message: Message, stream: Stream) -> None:
        if message.text == "late":
            self.way.forward(stream, message)
        raise RuntimeError("a defect")


@pytest.mark.parametrize("word", [b"early\n", b"late\n"])
def test_a_screen_that_raises_is_an_open_way_and_its_error_is_told(word: bytes) -> None:
    it = Crossing()
    toxic = it.set(Broken())
    it.feed(b"%sb\n" % word)
    it.feed(b"c\n")
    it.links["upstream"].ended()
    assert (it.said(), it.out["upstream"].ends) == (word + b"b\nc\n", 1)
    assert (toxic.errors, toxic.error) == (1, "RuntimeError('a defect')")


@pytest.mark.parametrize("struck", [True, False])
def test_a_reader_that_raises_leaves_the_connection_passing(struck: bool) -> None:
    it = Crossing()
    toxic = it.add("drop_message", match={"text": "b"}) if struck else None
    for piece in (b"a\nbo", b"om\n", b"b\n"):
        it.feed(piece)
    it.feed(b"answer\n", "downstream")
    it.links["upstream"].ended()
    assert it.said() == b"a\nboom\nb\n"
    assert (it.said("downstream"), it.out["upstream"].ends) == (b"answer\n", 1)
    assert toxic is None or toxic.errors == 2  # both readers read it


def test_attributes_of_kinds_on_messages_are_checked_by_name_type_and_value() -> None:
    with pytest.raises(UnknownName, match=r"tmieout.*Known: match, timeout"):
        kinds.make("stall", {"tmieout": 3})
    for name, wrong in [
        ("cut", {"when": "now"}), ("cut", {"how": 3}), ("stall", {"timeout": -1}), ("http_error", {"status": 99}),
        ("http_error", {"headers": {"a": 1}}), ("http_error", {"headers": {"a": "b\r\nc"}}), ("ws_close", {"code": 1}),
        ("pg_error", {"sqlstate": "4000"}), ("pg_error", {"sqlstate": "00000"}), ("redis_error", {"text": "a\r\nb"}),
        ("redis_value", {"how": "gone"}), ("http_body", {"how": "gone"}), ("corrupt_message", {"every": 1.5}),
    ]:  # fmt: skip
        with pytest.raises(BadValue, match="attributes"):
            kinds.make(name, wrong)


@pytest.mark.parametrize("name", ON_MESSAGES)
def test_a_kind_is_what_its_json_says(name: str) -> None:
    kind = slow(name, {"text": "x", "nth": 2})
    assert kind == kinds.make(name, kinds.attributes(kind))
