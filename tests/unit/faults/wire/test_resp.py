"""RESP as Redis and its clients speak it, in any slices, and what is none."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.faults.wire import resp
from netra_sim.faults.wire.base import OPAQUE, Message, Stream
from netra_sim.faults.wire.redis_keys import keys
from netra_sim.faults.wire.resp import Resp

Fed = list[tuple[Stream, bytes]]


def command(*said: bytes) -> bytes:
    return b"*%d\r\n" % len(said) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in said)


def seen(fed: Fed) -> list[tuple[str, str, int, bool]]:
    conversation = Resp()
    messages = [message for stream, data in fed for message in conversation.feed(stream, data)]
    return [(m.type, m.text, m.exchange, m.last) for m in messages]


def test_a_reply_is_told_with_the_command_it_answers() -> None:
    conversation = Resp()
    (asked,) = conversation.feed("upstream", command(b"get", b"user:1"))
    (told,) = conversation.feed("downstream", b"$5\r\nhello\r\n")
    assert (asked.type, asked.text, asked.exchange) == ("command", "get user:1", 1)
    assert dict(asked.facts) == {"command": "GET", "args": (b"user:1",), "keys": ("user:1",), "key": "user:1"}
    assert (told.type, told.text, told.exchange, told.last) == ("reply", "get user:1", 1, True)
    assert told.facts["key"] == "user:1" and told.facts.get("error") is None


def test_an_error_is_a_fact_of_its_reply_alone() -> None:
    conversation = Resp()
    (asked,) = conversation.feed("upstream", command(b"GET", b"k"))
    (told,) = conversation.feed("downstream", b"-LOADING Redis is loading\r\n")
    assert told.facts["error"] == "LOADING Redis is loading" and told.facts["key"] == "k"
    assert "error" not in asked.facts
    conversation.feed("upstream", command(b"GET", b"k"))
    (told,) = conversation.feed("downstream", b"!5\r\nOOM x\r\n")
    assert told.facts["error"] == "OOM x"


def test_pipelined_replies_go_to_their_commands_in_order() -> None:
    asked = command(b"SET", b"a", b"\r\n") + b"\r\nINCR 'b c'\r\n" + command(b"LRANGE", b"l", b"0", b"-1")
    told = b"+OK\r\n:7\r\n*2\r\n*-1\r\n$-1\r\n"
    assert seen([("upstream", asked), ("downstream", told)]) == [
        ("command", "SET a \r\n", 1, False),
        ("command", "", 0, False),
        ("command", "INCR b c", 2, False),
        ("command", "LRANGE l 0 -1", 3, False),
        ("reply", "SET a \r\n", 1, True),
        ("reply", "INCR b c", 2, True),
        ("reply", "LRANGE l 0 -1", 3, True),
    ]


RESP3 = [
    b"%2\r\n+a\r\n:1\r\n+b\r\n#t\r\n",
    b"~2\r\n,1.5\r\n(3492890328409238509324850943850943825024385\r\n",
    b"=7\r\ntxt:a\r\n\r\n",
    b"_\r\n",
    b"|1\r\n+ttl\r\n:3\r\n*1\r\n|1\r\n+a\r\n+b\r\n:1\r\n",
    b"$?\r\n;3\r\nabc\r\n;0\r\n",
    b"*?\r\n:1\r\n%?\r\n+a\r\n_\r\n.\r\n.\r\n",
    b"*0\r\n",
    b"$0\r\n\r\n",
]


@pytest.mark.parametrize("value", RESP3)
def test_every_type_of_resp3_is_one_reply(value: bytes) -> None:
    conversation = Resp()
    conversation.feed("upstream", command(b"PING") * 2)
    told = conversation.feed("downstream", value + b"+PONG\r\n")
    assert [(m.raw, m.exchange) for m in told] == [(value, 1), (b"+PONG\r\n", 2)]


def test_a_push_of_resp3_takes_no_reply_and_a_confirmation_does() -> None:
    push = b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
    confirmed = b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
    fed = [("upstream", command(b"SUBSCRIBE", b"a", b"b") + command(b"GET", b"k"))]
    assert seen([*fed, ("downstream", push + confirmed * 2 + push + b"_\r\n")])[2:] == [
        ("push", "message news hi", 0, False),
        ("reply", "SUBSCRIBE a b", 1, False),
        ("reply", "SUBSCRIBE a b", 1, True),
        ("push", "message news hi", 0, False),
        ("reply", "GET k", 2, True),
    ]


def test_a_message_of_resp2_is_a_push_only_where_something_is_subscribed() -> None:
    message = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n"
    asked: Fed = [("upstream", command(b"LRANGE", b"l", b"0", b"-1"))]
    assert seen([*asked, ("downstream", message)])[1][0] == "reply"
    subscribed: Fed = [
        ("upstream", command(b"SUBSCRIBE", b"news")),
        ("downstream", b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"),
        ("upstream", command(b"UNSUBSCRIBE")),
        ("downstream", message),
    ]
    assert seen(subscribed)[3][0] == "reply", "what comes after UNSUBSCRIBE went up may be an answer"


@pytest.mark.parametrize(("mode", "replies"), [(b"OFF", ["GET 3"]), (b"SKIP", ["GET 2", "CLIENT REPLY ON", "GET 3"])])
def test_commands_without_replies_wait_for_none(mode: bytes, replies: list[str]) -> None:
    conversation = Resp()
    for said in [
        (b"CLIENT", b"REPLY", mode),
        (b"GET", b"1"),
        (b"GET", b"2"),
        (b"CLIENT", b"REPLY", b"ON"),
        (b"GET", b"3"),
    ]:
        conversation.feed("upstream", command(*said))
    want = replies if mode == b"SKIP" else ["CLIENT REPLY ON", *replies]
    assert [m.text for m in conversation.feed("downstream", b"+x\r\n" * len(want))] == want


def test_a_transaction_has_a_reply_for_each_command() -> None:
    asked = command(b"MULTI") + command(b"INCR", b"a") + command(b"EXEC")
    told = seen([("upstream", asked), ("downstream", b"+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")])
    assert [(text, last) for _, text, _, last in told[3:]] == [("MULTI", True), ("INCR a", True), ("EXEC", True)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("PING", ""), ("EVAL s 2 a b c", "a b"), ("XREAD COUNT 1 STREAMS a b 0 0", "a b"), ("BLPOP a b 0", "a b"),
        ("XREADGROUP GROUP g c BLOCK 5 STREAMS s >", "s"), ("MSET a 1 b 2", "a b"), ("DEL a b", "a b"),
        ("ZUNIONSTORE d 2 a b", "d a b"), ("XGROUP CREATE s g 0", "s"), ("BITOP AND d a", "d a"), ("SET a 1", "a"),
        ("EVAL s", ""), ("LMPOP 1 l LEFT", "l"), ("MIGRATE h 1 k 0 5", "k"), ("RENAME a b", "a b"),
        ("JSON.GET a .", "a"),
    ],
)  # fmt: skip
def test_keys_are_where_the_command_has_them(line: str, found: str) -> None:
    said = line.encode().split()
    assert [key.decode() for key in keys(said[0].decode(), said)] == found.split()


def test_what_is_no_resp_is_opaque_and_goes_on() -> None:
    conversation = Resp()
    assert conversation.feed("upstream", command(b"PING") + b"*1\r\n:5\r\n")[-1] == Message(b"*1\r\n:5\r\n", OPAQUE)
    assert conversation.feed("upstream", b"more") == [Message(b"more", OPAQUE)]
    assert conversation.opaque == "not RESP"
    tls = Resp()
    assert tls.feed("upstream", b"\x16\x03\x01\x02\x00")[0].type == OPAQUE and tls.opaque == "TLS"
    assert tls.feed("downstream", b"+OK\r\n")[0].type == OPAQUE


def test_a_replica_is_not_followed() -> None:
    conversation = Resp()
    assert conversation.feed("upstream", command(b"PSYNC", b"?", b"-1"))[0].text == "PSYNC ? -1"
    assert conversation.feed("downstream", b"+FULLRESYNC x 0\r\n$3\r\nRDB")[0].type == OPAQUE


# -- any bytes in any slices --------------------------------------------------------------------------------------

FREE = st.binary(max_size=12).filter(lambda word: word.upper() not in (b"SYNC", b"PSYNC"))  # would end it all
WORDS = st.lists(FREE | st.sampled_from([b"GET", b"SUBSCRIBE", b"CLIENT", b"RESET"]), min_size=1)
COMMANDS = st.lists(WORDS.map(lambda said: command(*said)) | st.just(b"PING 'a b'\r\n"), max_size=6).map(b"".join)
REPLIES = st.lists(
    st.sampled_from([*RESP3, b">2\r\n+a\r\n:1\r\n", b"-ERR x\r\n"]) | WORDS.map(lambda said: command(*said)), max_size=6
).map(b"".join)


def slices(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def talk(up: list[bytes], down: list[bytes]) -> list[Message]:
    """Feed both directions, one after the other; every byte is told or kept, and little is kept."""
    conversation, all_told = Resp(), []
    streams: list[tuple[Stream, list[bytes]]] = [("upstream", up), ("downstream", down)]
    for stream, pieces in streams:
        told: list[Message] = []
        for piece in pieces:
            told += conversation.feed(stream, piece)
            assert len(conversation.rest(stream)) <= resp.MOST + resp.LINE + 2
        assert b"".join(m.raw for m in told) + conversation.rest(stream) == b"".join(pieces)
        all_told += told
    return all_told


def understood(messages: list[Message]) -> list[tuple[object, ...]]:
    return [(m.raw, m.type, m.text, m.exchange, m.last, m.whole, dict(m.facts)) for m in messages if m.type != OPAQUE]


CUTS = st.lists(st.integers(0, 200), max_size=30)


@pytest.mark.parametrize("most", [16, 1 << 20])
@given(up=COMMANDS, down=REPLIES, cuts=CUTS)
def test_any_split_gives_the_same_messages(most: int, up: bytes, down: bytes, cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resp, "MOST", most)
        patch.setattr(resp, "SMALL", min(most, resp.SMALL))
        whole = talk([up], [down])
        assert not any(m.type == OPAQUE for m in whole)
        assert understood(talk(slices(up, cuts), slices(down, cuts))) == understood(whole)
        assert understood(talk([bytes([b]) for b in up], [bytes([b]) for b in down])) == understood(whole)


@given(st.binary(max_size=300), st.binary(max_size=300), CUTS)
def test_garbage_is_passed_on(up: bytes, down: bytes, cuts: list[int]) -> None:
    talk(slices(up, cuts), slices(down, cuts))


@given(COMMANDS, REPLIES, CUTS, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4))
def test_flipped_bytes_lose_nothing(up: bytes, down: bytes, cuts: list[int], flips: list[tuple[int, int]]) -> None:
    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        for at, byte in flips:
            if at < len(changed):
                changed[at] = byte
        return bytes(changed)

    assert understood(talk(slices(flip(up), cuts), slices(flip(down), cuts))) == understood(
        talk([flip(up)], [flip(down)])
    )


def test_a_long_value_is_told_in_parts() -> None:
    conversation, value = Resp(), b"x" * (2 * resp.MOST + 5)
    conversation.feed("upstream", command(b"GET", b"k"))
    data = b"$%d\r\n%s\r\n" % (len(value), value)
    told = [m for i in range(0, len(data), 65536) for m in conversation.feed("downstream", data[i : i + 65536])]
    assert [(m.whole, m.last, m.text, m.exchange) for m in told] == [
        (False, False, "GET k", 1), (False, False, "GET k", 1), (False, True, "GET k", 1)
    ]  # fmt: skip
    assert b"".join(m.raw for m in told) == data
    assert conversation.rest("downstream") == b""


def test_a_pipeline_in_one_slice_is_told_as_one_by_one() -> None:
    """Each command and each reply takes the quick way; a value with what looks like a command in it does not."""
    sets = [command(b"SET", b"k", value) for value in (b"plain", b"", b"a\r\n*1\r\n$4\r\nPING\r\n", b"x" * 5000)]
    for commands in (sets[:2], sets[:3], sets, [command(b"PING")] * 300):
        replies = [b"+OK\r\n", b"$-1\r\n", b":7\r\n", b"$4\r\n\r\n+x\r\n", b"-ERR no\r\n"] * len(commands)
        whole, single = resp.Resp(), resp.Resp()
        asked = whole.feed("upstream", b"".join(commands))
        assert asked == [one for each in commands for one in single.feed("upstream", each)]
        assert [one.raw for one in asked] == commands
        replies = replies[: len(commands)]
        told = whole.feed("downstream", b"".join(replies))
        assert told == [one for each in replies for one in single.feed("downstream", each)]
        assert [(one.raw, one.exchange) for one in told] == [(raw, n) for n, raw in enumerate(replies, 1)]


def test_what_follows_replication_in_a_slice_is_not_understood() -> None:
    conversation = resp.Resp()
    told = conversation.feed("upstream", command(b"PING") + command(b"SYNC") + command(b"GET", b"a") * 2)
    assert [(one.type, one.raw) for one in told[2:]] == [("opaque", command(b"GET", b"a") * 2)]
    assert conversation.opaque == "replication"
