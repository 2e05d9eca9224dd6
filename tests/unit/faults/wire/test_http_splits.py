"""Whatever comes, in whatever slices: the same messages, no byte lost, nothing raised, little kept."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.faults.wire import http_body, sse, websocket
from netra_sim.faults.wire.base import Stream
from tests.unit.faults.http_streams import CONVERSATIONS, DOWN, UP, Exchange, joined, told

NAMES = sorted(CONVERSATIONS)
STREAMS: list[Stream] = [UP, DOWN]


@pytest.fixture(params=[None, 40, 9], ids=["usual limit", "limit 40", "limit 9"], autouse=True, scope="module")
def most(request: pytest.FixtureRequest) -> Iterator[None]:
    """A lower limit makes parts of what these short messages hold."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (http_body, sse, websocket) if request.param else ():
            patch.setattr(module, "MOST", request.param)
        yield


def same(exchanges: list[Exchange], sliced: list[Exchange]) -> None:
    whole, messages = told(exchanges)
    parts, others = told(sliced)
    assert whole.opaque == parts.opaque
    for stream in STREAMS:
        assert joined(others[stream]) == joined(messages[stream])
        assert parts.rest(stream) == whole.rest(stream)


def cut(draw: st.DrawFn, exchanges: list[Exchange]) -> list[Exchange]:
    sliced: list[Exchange] = []
    for stream, data in exchanges:
        places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=6)))
        sliced += [(stream, data[a:b]) for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    return sliced


@pytest.mark.parametrize("name", NAMES)
def test_a_byte_at_a_time_tells_the_same(name: str) -> None:
    exchanges = [(stream, data[:900]) for stream, data in CONVERSATIONS[name]]
    same(exchanges, [(stream, data[i : i + 1]) for stream, data in exchanges for i in range(len(data))])


@given(st.data())
def test_any_slices_tell_the_same(data: st.DataObject) -> None:
    exchanges = CONVERSATIONS[data.draw(st.sampled_from(NAMES))]
    same(exchanges, cut(data.draw, exchanges))


@given(st.data())
def test_damage_is_told_the_same_in_any_slices(data: st.DataObject) -> None:
    exchanges = list(CONVERSATIONS[data.draw(st.sampled_from(NAMES))])
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.integers(0, len(exchanges) - 1))
        stream, whole = exchanges[where]
        at, length = data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, 4))
        exchanges[where] = stream, whole[:at] + data.draw(st.binary(max_size=4)) + whole[at + length :]
    same(exchanges, cut(data.draw, exchanges))


NOISE = st.lists(st.tuples(st.sampled_from(STREAMS), st.binary(min_size=1, max_size=40)))


@given(NOISE, st.sampled_from(NAMES), st.integers(0, 9), st.data())
def test_garbage_after_anything_is_told(noise: list[Exchange], name: str, first: int, data: st.DataObject) -> None:
    exchanges = [*CONVERSATIONS[name][:first], *noise]
    same(exchanges, cut(data.draw, exchanges))


TOKENS = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b"data: x",
        b": c",
        b"\n\n",
        b"5\r\n",
        b"0\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"a:b",
    ]
)


@given(st.lists(TOKENS, max_size=30).map(b"".join), st.data())
def test_line_ends_in_any_order(text: bytes, data: st.DataObject) -> None:
    for name in ("events", "events without chunks", "events of a length", "chunked"):
        exchanges: list[Exchange] = [*CONVERSATIONS[name][:2], (DOWN, text)]
        same(exchanges, cut(data.draw, exchanges))
