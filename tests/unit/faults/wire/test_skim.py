"""Whoever skims knows afterwards what whoever was fed knows: whatever is then fed gives the same messages."""

from collections.abc import Callable, Sequence
from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.faults.wire.base import Conversation, Message, Stream
from netra_sim.faults.wire.http import Http
from netra_sim.faults.wire.postgres import Postgres
from netra_sim.faults.wire.resp import Resp
from tests.unit.faults.http_streams import CONVERSATIONS
from tests.unit.faults.wire import test_postgres, test_resp

Fed = Sequence[tuple[Stream, bytes]]


def same(kind: Callable[[], Conversation], fed: Fed, skimmed: Sequence[bool]) -> None:
    """Feed one conversation all slices, another one only some, which skims the others."""
    one, other = kind(), kind()
    for (stream, data), skims in zip_longest(fed, skimmed[: len(fed)], fillvalue=False):
        told = one.feed(stream, data)
        if skims:
            other.skim(stream, data)
        else:
            assert other.feed(stream, data) == told
        assert (one.awaited(), one.opaque, *map(one.rest, ("upstream", "downstream"))) == (
            other.awaited(), other.opaque, *map(other.rest, ("upstream", "downstream")),
        )  # fmt: skip


def mixed(up: Sequence[bytes], down: Sequence[bytes]) -> Fed:
    pairs = zip_longest(up, down, fillvalue=b"")
    return [row for a, b in pairs for row in (("upstream", a), ("downstream", b))]


def damaged(data: st.DataObject, fed: Fed) -> Fed:
    """Sometimes a byte is another one."""
    if not fed or data.draw(st.integers(0, 3)):
        return fed
    where, byte = data.draw(st.integers(0, len(fed) - 1)), data.draw(st.binary(min_size=1, max_size=1))
    stream, whole = fed[where]
    at = data.draw(st.integers(0, max(0, len(whole) - 1)))
    return [*fed[:where], (stream, whole[:at] + byte + whole[at + 1 :]), *fed[where + 1 :]]


SKIMMED = st.lists(st.booleans(), max_size=40)
LINES = st.lists(
    st.sampled_from(
        [b"PING\r\n", b"set a  b\n", b'SET a "b c"\r\n', b"MONITOR\r\n", b"client reply skip\r\n", b"\r\n", b"get k"]
        + [test_resp.command(*said.split()) for said in (b"GET k", b"SUBSCRIBE a b", b"UNSUBSCRIBE", b"RESET", b"SYNC")]
        + [test_resp.command(b"SET", b"a", b"\r\n" * 3), test_resp.command(b"CLIENT", b"REPLY", b"OFF")]
    ),
    max_size=12,
)  # fmt: skip
REPLIES = st.lists(
    st.sampled_from([b"+OK\r\n", b":1\r\n", b"$2\r\nhi\r\n", b"$-1\r\n", b"-ERR no\r\n", b"*1\r\n:1\r\n", b"$5\r\nhe",
                     b"+1700000000.1 [0 a:1] \"get\"\r\n", b"%0\r\n", b">2\r\n+a\r\n+b\r\n", b"+a\r\n+b\r\n"]),
    max_size=12,
)  # fmt: skip


@given(LINES, REPLIES, SKIMMED, st.data())
def test_redis_commands_and_replies_that_come_one_by_one(
    up: list[bytes], down: list[bytes], skimmed: list[bool], data: st.DataObject
) -> None:
    same(Resp, damaged(data, mixed(up, down)), skimmed)


@given(test_resp.COMMANDS, test_resp.REPLIES, test_resp.CUTS, SKIMMED, st.data())
def test_redis_in_any_slices(up: bytes, down: bytes, cuts: list[int], skimmed: list[bool], data: st.DataObject) -> None:
    same(Resp, damaged(data, mixed(test_resp.slices(up, cuts), test_resp.slices(down, cuts))), skimmed)


@given(test_postgres.UP, test_postgres.DOWN, test_postgres.CUTS, SKIMMED, st.data())
def test_postgres_in_any_slices(
    up: bytes, down: bytes, cuts: list[int], skimmed: list[bool], data: st.DataObject
) -> None:
    fed = mixed(test_postgres.slices(up, cuts), test_postgres.slices(down, cuts))
    same(Postgres, damaged(data, fed), skimmed)


@pytest.mark.parametrize("cut", [0, 3, 11])
def test_rows_are_counted_off_up_to_one_that_has_not_come_in_full(cut: int) -> None:
    answer = test_postgres.m(b"2") + test_postgres.ROW * 50
    whole, parts = test_postgres.connected(), test_postgres.connected()
    for conversation in (whole, parts):
        conversation.feed("upstream", test_postgres.BOUND + test_postgres.EXECUTE + test_postgres.SYNC)
    kept = answer[: len(answer) - cut]
    whole.feed("downstream", kept)
    parts.skim("downstream", kept)
    assert parts.rest("downstream") == whole.rest("downstream") == test_postgres.ROW[: -cut or 0] * bool(cut)
    rest: list[Message] = parts.feed("downstream", answer[len(kept) :] + test_postgres.DONE + test_postgres.READY)
    assert rest == whole.feed("downstream", answer[len(kept) :] + test_postgres.DONE + test_postgres.READY)
    assert rest[-1].last and parts.awaited() == 0


@given(st.sampled_from(sorted(CONVERSATIONS)), SKIMMED, st.data())
def test_http(name: str, skimmed: list[bool], data: st.DataObject) -> None:
    same(Http, damaged(data, CONVERSATIONS[name]), skimmed)
