"""What each kind of fault on a link does of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.faults import kinds
from netra_sim.faults.kinds.bandwidth import Bandwidth
from netra_sim.faults.kinds.black_hole import BlackHole
from netra_sim.faults.kinds.corrupt import Corrupt
from netra_sim.faults.kinds.latency import Latency
from netra_sim.faults.kinds.limit_data import LimitData
from netra_sim.faults.kinds.partition import Partition
from netra_sim.faults.kinds.reset_peer import ResetPeer
from netra_sim.faults.kinds.slicer import Slicer
from netra_sim.faults.kinds.slow_close import SlowClose
from netra_sim.faults.kinds.timeout import Timeout
from netra_sim.kernel.errors import BadValue, UnknownName
from netra_sim.kernel.rng import Rng
from tests.unit.faults.memory import LONG, ON_LINKS, Wire

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
