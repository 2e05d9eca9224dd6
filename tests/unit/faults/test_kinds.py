"""The contract that every kind of fault on a link keeps."""

from dataclasses import FrozenInstanceError, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.faults import kinds
from netra_sim.faults.kinds.base import Kind
from netra_sim.faults.kinds.reset_peer import ResetPeer
from netra_sim.faults.link import MOST_HELD
from netra_sim.faults.toxic import Toxic
from tests.unit.faults.memory import LONG, ON_LINKS, Wire

CONSERVE = [name for name in ON_LINKS if not kinds.KINDS[name].discards]


def slow(name: str) -> Kind:
    """The kind with every attribute at ten seconds: nothing happens by itself before that."""
    return kinds.make(name, {field.name: 10_000 for field in fields(kinds.KINDS[name])} | {"jitter": 5_000})


@pytest.mark.parametrize("name", ON_LINKS)
def test_no_timer_is_left_after_removal(name: str) -> None:
    wire = Wire()
    toxic = wire.add(slow(name))
    wire.link.feed(b"abc")
    wire.link.ended()
    wire.link.remove(toxic)
    assert wire.loop.pending == 0
    seen = (wire.out.said, wire.out.ends, wire.was_reset, wire.closed, wire.hung_up)
    wire.loop.advance(LONG)
    assert (wire.out.said, wire.out.ends, wire.was_reset, wire.closed, wire.hung_up) == seen


@pytest.mark.parametrize("name", ON_LINKS)
def test_a_lost_connection_hears_nothing_more(name: str) -> None:
    wire = Wire()
    toxic = wire.add(slow(name))
    wire.link.feed(b"abc" * 10_000)
    wire.link.ended()
    seen = (list(wire.out.said), wire.out.ends, wire.closed, wire.was_reset)
    wire.link.clear()
    wire.loop.advance(LONG)
    wire.link.remove(toxic)
    assert wire.loop.pending == 0
    assert (wire.out.said, wire.out.ends, wire.closed, wire.was_reset) == seen


@pytest.mark.parametrize("name", CONSERVE)
def test_bytes_held_go_on_in_order_at_removal(name: str) -> None:
    wire = Wire()
    toxic = wire.add(slow(name))
    for chunk in (b"one", b"two", b"three"):
        wire.link.feed(chunk)
    assert b"onetwothree".startswith(wire.out.data)
    wire.link.remove(toxic)
    assert wire.out.data == b"onetwothree"
    wire.link.feed(b"four")
    wire.link.ended()
    assert (wire.out.data, wire.out.ends) == (b"onetwothreefour", 1)


@pytest.mark.parametrize("name", [name for name in CONSERVE if name != "noop"])
def test_an_end_that_waits_goes_on_once_after_the_bytes(name: str) -> None:
    wire = Wire()
    toxic = wire.add(slow(name))
    wire.link.feed(b"last words" * 10_000)
    wire.link.ended()
    assert wire.out.ends == 0
    wire.link.remove(toxic)
    assert (wire.out.data, wire.out.ends) == (b"last words" * 10_000, 1)


@pytest.mark.parametrize("name", CONSERVE)
def test_a_stub_that_holds_too_much_stops_the_source(name: str) -> None:
    wire = Wire()
    toxic = wire.add(slow(name))
    sent = 0
    for size in (MOST_HELD, 1, 10_000):
        wire.link.feed(b"x" * size)
        sent += size
        assert wire.source.reading == (sent - len(wire.out.data) <= MOST_HELD)
    wire.link.remove(toxic)
    assert wire.source.reading
    assert len(wire.out.data) == sent


@pytest.mark.parametrize("name", ON_LINKS)
def test_hits_are_counted_for_what_was_struck(name: str) -> None:
    wire = Wire()
    toxic = wire.add(kinds.make(name, {}))
    wire.loop.advance(1)
    assert toxic.hits == 0
    wire.link.feed(b"abc")
    wire.link.ended()
    wire.loop.advance(1)
    assert toxic.hits == 1


@pytest.mark.parametrize("name", ON_LINKS)
def test_a_kind_is_a_value(name: str) -> None:
    kind = slow(name)
    assert kind == kinds.make(name, kinds.attributes(kind))
    assert all(value == 0 for value in kinds.attributes(kinds.make(name, None)).values())
    for field in fields(kind):
        with pytest.raises(FrozenInstanceError):
            setattr(kind, field.name, 1)


@pytest.mark.parametrize("name", ON_LINKS)
@pytest.mark.parametrize("to", [0, 1, 100_000])
def test_attributes_change_while_bytes_are_under_way(name: str, to: int) -> None:
    wire = Wire()
    toxic = wire.add(slow(name))
    wire.link.feed(b"one" * 10_000)
    toxic.kind = kinds.make(name, {field.name: to for field in fields(kinds.KINDS[name])})
    assert wire.link.update(toxic)
    wire.loop.advance(0.001)
    if not wire.closed | wire.was_reset | wire.hung_up:
        wire.link.feed(b"two")
        wire.link.ended()
        wire.link.remove(toxic)
        if name in CONSERVE:
            assert (wire.out.data, wire.out.ends) == (b"one" * 10_000 + b"two", 1)
        assert not wire.link.update(toxic)
    assert wire.loop.pending == 0


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("data"), st.integers(1, 300_000)),
        st.tuples(st.just("add"), st.sampled_from(CONSERVE), st.integers(0, 50), st.integers(0, 50)),
        st.tuples(st.just("update"), st.integers(0, 50), st.integers(0, 50)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("time"), st.integers(0, 40)),
        st.tuples(st.just("congested"), st.booleans()),
        st.tuples(st.just("join"), st.none()),
    ),
    max_size=30,
)


def _any(name: str, one: int, other: int) -> Kind:
    """The kind with these two values in turn for its attributes; pieces not so small that millions are made."""
    names = [field.name for field in fields(kinds.KINDS[name])]
    given = {field: (one, other)[n % 2] for n, field in enumerate(names)}
    return kinds.make(name, given | {"average_size": 1000 + one})


@given(moves=MOVES, end_at=st.integers(0, 30))
def test_any_interleaving_conserves_the_stream(moves: list[tuple], end_at: int) -> None:
    """Whatever is set and taken away meanwhile, the bytes come out in order and then end exactly once."""
    wire, sent, toxics, ended = Wire(joined=False), bytearray(), [], False
    for step, (move, *values) in enumerate([*moves, *[("time", 0)] * 31]):
        if step == end_at:
            wire.link.ended()
            ended = True
        if move == "data" and not ended and wire.source.reading:
            chunk = bytes([step]) * values[0]
            sent += chunk
            wire.link.feed(chunk)
        elif move == "add":
            # A fuse that burns down cuts the stream, as it should: here it never does.
            burns = values[0] == "reset_peer"
            kind = ResetPeer(10**9) if burns else _any(values[0], values[1], values[2])
            toxics.append(wire.add(kind, f"fault-{step}"))
        elif move == "update" and toxics and not isinstance(toxics[-1].kind, ResetPeer):
            toxics[-1].kind = _any(toxics[-1].kind.name, *values)
            wire.link.update(toxics[-1])
        elif move == "remove" and toxics:
            wire.link.remove(toxics.pop(values[0] % len(toxics)))
        elif move == "time":
            wire.loop.advance(values[0] / 1000)
        elif move == "congested":
            wire.link.congested(values[0])
        elif move == "join" and wire.link.out is None:
            wire.join()
        assert bytes(sent).startswith(wire.out.data)
    if wire.link.out is None:
        wire.join()
    wire.link.congested(False)
    for toxic in toxics:
        wire.link.remove(toxic)
    wire.loop.advance(LONG)
    assert wire.out.data == bytes(sent)
    assert (wire.out.ends, wire.loop.pending) == (1, 0)


@given(st.lists(st.sampled_from(ON_LINKS), max_size=4), st.lists(st.integers(0, 3), max_size=4))
def test_removal_never_hangs_whatever_stands_in_the_chain(names: list[str], order: list[int]) -> None:
    """Also among kinds that close the connection meanwhile: the link ends up empty and silent."""
    wire = Wire()
    toxics = [wire.add(slow(name), f"{name}-{n}") for n, name in enumerate(names)]
    wire.link.feed(b"abc")
    for n in [*order, *[0] * len(toxics)]:
        if toxics:
            wire.link.remove(toxics.pop(n % len(toxics)))
    assert wire.loop.pending == 0
    assert not wire.link.update(Toxic("any", slow("latency"), "downstream"))
