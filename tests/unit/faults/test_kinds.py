"""The contract that every kind of fault on a link keeps, and what each one does of its own."""

from dataclasses import FrozenInstanceError, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.faults import kinds
from netra_sim.faults.kinds.bandwidth import Bandwidth
from netra_sim.faults.kinds.base import Kind
from netra_sim.faults.kinds.black_hole import BlackHole
from netra_sim.faults.kinds.corrupt import Corrupt
from netra_sim.faults.kinds.latency import Latency
from netra_sim.faults.kinds.limit_data import LimitData
from netra_sim.faults.kinds.message import MessageKind
from netra_sim.faults.kinds.partition import Partition
from netra_sim.faults.kinds.reset_peer import ResetPeer
from netra_sim.faults.kinds.slicer import Slicer
from netra_sim.faults.kinds.slow_close import SlowClose
from netra_sim.faults.kinds.timeout import Timeout
from netra_sim.faults.link import MOST_HELD
from netra_sim.faults.toxic import Toxic
from netra_sim.kernel.errors import BadValue, UnknownName
from netra_sim.kernel.rng import Rng
from tests.unit.faults.memory import Wire

ON_LINKS = sorted(
    name
    for name, kind in kinds.KINDS.items()
    if not (kind.whole_proxy or kind.at_door or issubclass(kind, MessageKind))
)
CONSERVE = [name for name in ON_LINKS if not kinds.KINDS[name].discards]
LONG = 3600.0


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


# -- latency ----------------------------------------------------------------------------------------------------


def test_latency_counts_from_arrival_of_each_chunk() -> None:
    wire = Wire()
    wire.add(Latency(100))
    wire.link.feed(b"a")
    wire.loop.advance(0.06)
    wire.link.feed(b"b")
    wire.loop.advance(0.05)
    assert wire.out.data == b"a"
    wire.loop.advance(0.049)
    assert wire.out.data == b"a"
    wire.loop.advance(0.002)
    assert wire.out.data == b"ab"


def test_latency_delays_the_end_too() -> None:
    wire = Wire()
    wire.add(Latency(100))
    wire.link.ended()
    wire.loop.advance(0.099)
    assert wire.out.ends == 0
    wire.loop.advance(0.002)
    assert wire.out.ends == 1


def test_jitter_spreads_the_delay_but_nothing_overtakes() -> None:
    wire = Wire()
    wire.add(Latency(100, 80))
    arrived: list[float] = []
    for n in range(50):
        wire.link.feed(bytes([n]))
    for ms in range(200):
        wire.loop.advance(0.001)
        arrived += [ms / 1000] * (len(wire.out.data) - len(arrived))
    assert wire.out.data == bytes(range(50))
    assert min(arrived) >= 0.018
    assert max(arrived) <= 0.182
    assert len(set(arrived)) > 1


def test_jitter_is_seeded() -> None:
    def pattern() -> list[bytes]:
        wire = Wire()
        wire.add(Latency(20, 20))
        seen = []
        for n in range(20):
            wire.link.feed(bytes([n]))
            wire.loop.advance(0.005)
            seen.append(wire.out.data)
        return seen

    assert pattern() == pattern()


def test_a_jitter_above_the_latency_is_never_negative() -> None:
    wire = Wire()
    wire.add(Latency(0, 50))
    for _ in range(20):
        wire.link.feed(b"x")  # the loop's double refuses a delay below 0
    wire.loop.advance(0.051)
    assert len(wire.out.data) == 20


# -- reset_peer, timeout, down ----------------------------------------------------------------------------------


def test_reset_peer_waits_for_the_first_chunk() -> None:
    wire = Wire()
    wire.add(ResetPeer(100))
    wire.loop.advance(LONG)
    assert not wire.was_reset
    wire.link.feed(b"query")
    wire.loop.advance(0.099)
    assert not wire.was_reset
    wire.loop.advance(0.002)
    assert wire.was_reset
    assert wire.out.data == b""


def test_reset_peer_lets_a_stream_without_bytes_end() -> None:
    wire = Wire()
    toxic = wire.add(ResetPeer(0))
    wire.link.ended()
    wire.link.remove(toxic)
    wire.loop.advance(1)
    assert (wire.out.ends, wire.was_reset, toxic.hits) == (1, False, 0)


def test_timeout_discards_and_closes_after_its_time() -> None:
    wire = Wire()
    wire.add(Timeout(100))
    wire.link.feed(b"lost")
    wire.link.ended()
    wire.loop.advance(0.099)
    assert not wire.closed
    wire.loop.advance(0.002)
    assert wire.closed
    assert (wire.out.data, wire.out.ends) == (b"", 0)


def test_timeout_zero_closes_only_when_removed() -> None:
    wire = Wire()
    toxic = wire.add(Timeout())
    wire.loop.advance(LONG)
    assert not wire.closed
    wire.link.remove(toxic)
    assert wire.closed


@pytest.mark.parametrize("name", sorted(set(kinds.KINDS) - set(ON_LINKS)))
def test_what_strikes_no_link_has_no_stub(name: str) -> None:
    with pytest.raises(NotImplementedError):
        kinds.make(name, {}).stub(None, Rng(1).stream())  # type: ignore[arg-type]


def test_a_fuse_that_is_set_longer_burns_longer_from_when_it_was_lit() -> None:
    wire = Wire()
    toxic = wire.add(ResetPeer(100))
    wire.link.feed(b"query")
    wire.loop.advance(0.05)
    toxic.kind = ResetPeer(200)
    wire.link.update(toxic)
    wire.loop.advance(0.149)
    assert not wire.was_reset
    wire.loop.advance(0.002)
    assert wire.was_reset


# -- bandwidth, slow_close, slicer, limit_data ------------------------------------------------------------------


def test_bandwidth_lets_through_its_rate() -> None:
    wire = Wire()
    toxic = wire.add(Bandwidth(100))
    wire.link.feed(b"x" * 100_000)
    wire.link.ended()
    for tenths in range(1, 10):
        wire.loop.advance(0.1001)
        assert len(wire.out.data) == tenths * 10_000
    assert wire.out.ends == 0
    wire.loop.advance(0.1)
    assert (len(wire.out.data), wire.out.ends, toxic.hits) == (100_000, 1, 1)


def test_bandwidth_zero_stalls_until_there_is_a_rate() -> None:
    wire = Wire()
    toxic = wire.add(Bandwidth())
    wire.link.feed(b"abc")
    wire.loop.advance(LONG)
    assert wire.out.data == b""
    toxic.kind = Bandwidth(1)
    wire.link.update(toxic)
    wire.loop.advance(0.004)
    assert wire.out.data == b"abc"


def test_slow_close_delays_the_end_alone() -> None:
    wire = Wire()
    wire.add(SlowClose(100))
    wire.link.feed(b"abc")
    wire.link.ended()
    wire.loop.advance(0.099)
    assert (wire.out.data, wire.out.ends) == (b"abc", 0)
    wire.loop.advance(0.002)
    assert wire.out.ends == 1


def test_slicer_cuts_into_pieces_with_pauses() -> None:
    wire = Wire()
    wire.add(Slicer(10, 2, 1000))
    wire.link.feed(bytes(100))
    assert 8 <= len(wire.out.data) <= 12
    wire.loop.advance(1)
    sizes = [len(piece) for piece in wire.out.said]
    assert sum(sizes) == 100
    assert all(8 <= size <= 12 for size in sizes[:-1])
    assert len(set(sizes[:-1])) > 1


@pytest.mark.parametrize(("limit", "heard"), [(0, b""), (2, b"ab"), (4, b"abcd"), (5, b"abcde")])
def test_limit_data_hangs_up_after_its_bytes(limit: int, heard: bytes) -> None:
    wire = Wire()
    toxic = wire.add(LimitData(limit))
    for chunk in (b"ab", b"cd", b"ef"):
        wire.link.feed(chunk)
    assert (wire.out.data, wire.hung_up, toxic.hits) == (heard, True, 1)


# -- corrupt, partition, black_hole -----------------------------------------------------------------------------


@given(st.lists(st.integers(0, 300), max_size=20), st.integers(0, 50))
def test_corruption_is_seeded_and_keeps_number_and_places(sizes: list[int], every: int) -> None:
    def heard(cuts: list[int]) -> bytes:
        wire = Wire()
        wire.add(Corrupt(every))
        for size in cuts:
            wire.link.feed(bytes(size))
        return wire.out.data

    data = heard(sizes)
    assert len(data) == sum(sizes)
    assert data == heard([sum(sizes)])  # however the stream was cut
    changed = sum(byte != 0 for byte in data)
    assert changed == len(data) if every <= 1 else changed >= len(data) // (2 * every)


def test_a_partition_holds_bytes_and_end_for_as_long_as_it_lasts() -> None:
    wire = Wire()
    toxic = wire.add(Partition())
    wire.link.feed(b"held")
    wire.link.ended()
    wire.loop.advance(LONG)
    assert (wire.out.data, wire.out.ends) == (b"", 0)
    wire.link.remove(toxic)
    assert (wire.out.data, wire.out.ends, wire.was_reset) == (b"held", 1, False)


@pytest.mark.parametrize("loses", ["bytes", "end", "nothing"])
def test_a_black_hole_takes_everything_and_resets_who_lost_something(loses: str) -> None:
    wire = Wire()
    toxic = wire.add(BlackHole())
    if loses == "bytes":
        wire.link.feed(b"gone")
    elif loses == "end":
        wire.link.ended()
    wire.loop.advance(LONG)
    assert (wire.out.data, wire.out.ends, wire.source.reading, wire.was_reset) == (b"", 0, True, False)
    wire.link.remove(toxic)
    assert wire.was_reset == (loses != "nothing")
    if loses == "nothing":
        wire.link.feed(b"on it goes")
        assert wire.out.data == b"on it goes"


# -- the registry -----------------------------------------------------------------------------------------------


def test_make_takes_keys_of_any_case_and_ignores_unknown_and_null() -> None:
    assert kinds.make("latency", {"LATENCY": 5, "colour": "red", "jitter": None}) == Latency(5)


@pytest.mark.parametrize("value", [0.5, 1000.0, "1000", True, [], 1 << 63])
def test_make_refuses_what_is_no_integer(value: object) -> None:
    with pytest.raises(BadValue, match=r"attributes\.latency"):
        kinds.make("latency", {"latency": value})


def test_make_refuses_an_unknown_kind() -> None:
    with pytest.raises(UnknownName, match=r"latency, bandwidth, .*, refuse, down"):
        kinds.make("gremlin", None)
