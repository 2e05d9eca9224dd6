"""Postgres's protocol in any slices: each message with its statement; and what is no Postgres."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_sim.faults.wire import held, postgres
from netra_sim.faults.wire.base import OPAQUE, Message, Stream
from netra_sim.faults.wire.postgres import Postgres


def m(letter: bytes, body: bytes = b"") -> bytes:
    return letter + struct.pack(">I", len(body) + 4) + body


def startup(code: int, body: bytes = b"") -> bytes:
    return struct.pack(">II", len(body) + 8, code) + body


START = startup(196608, b"user\0ann\0database\0shop\0\0")
SSL = startup(80877103)
OK, READY, SYNC = m(b"R", bytes(4)), m(b"Z", b"I"), m(b"S")
WELCOME = OK + m(b"S", b"server_version\00018.6\0") + m(b"K", bytes(8)) + READY
PARSE, BOUND = (
    m(b"P", b"s1\0SELECT $1::int4\0\0\0"),
    m(b"B", b"\0s1\0" + bytes.fromhex("000100010002 00000004 0000002a ffffffff 00010001")),
)
EXECUTE, DESCRIBE, CLOSE = m(b"E", b"\0" + bytes(4)), m(b"D", b"Ss1\0"), m(b"C", b"Ss1\0")
ROW = m(b"D", bytes.fromhex("0001 00000004 0000002a"))
DONE = m(b"C", b"SELECT 1\0")
FAILED = m(b"E", b"SERROR\0VERROR\0C23505\0Mduplicate key\0Dit is there\0\0")
GONE = m(b"E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0")
NOTICE, NOTIFIED = m(b"N", b"SNOTICE\0C00000\0Mhello\0\0"), m(b"A", b"\0\0\0\7news\0hi\0")


def connected() -> Postgres:
    conversation = Postgres()
    conversation.feed("upstream", START)
    conversation.feed("downstream", WELCOME)
    return conversation


def told(messages: list[Message]) -> list[tuple[str, str, int]]:
    return [(message.type, message.text, message.exchange) for message in messages]


def test_the_startup_is_the_first_exchange_and_names_user_and_database() -> None:
    conversation = Postgres()
    (start,) = conversation.feed("upstream", START)
    assert start.type == "StartupMessage" and start.exchange == 1
    assert (start.facts["user"], start.facts["database"]) == ("ann", "shop")
    answers = conversation.feed("downstream", WELCOME)
    assert [(a.type, a.exchange, a.last) for a in answers] == [
        ("AuthenticationOk", 1, False), ("ParameterStatus", 0, False), ("BackendKeyData", 1, False),
        ("ReadyForQuery", 1, True),
    ]  # fmt: skip
    assert answers[1].facts == {"name": "server_version", "value": "18.6"} and answers[3].facts["status"] == "I"


def test_sasl_names_the_clients_answers() -> None:
    conversation = Postgres()
    conversation.feed("upstream", START)
    password, names = m(b"p", b"x\0"), []
    for code in (10, 11, 3):
        conversation.feed("downstream", m(b"R", struct.pack(">I", code) + b"SCRAM-SHA-256\0\0"))
        names += [message.type for message in conversation.feed("upstream", password)]
    assert names == ["SASLInitialResponse", "SASLResponse", "PasswordMessage"]


def test_a_query_and_its_answers_are_one_exchange() -> None:
    conversation = connected()
    (query,) = conversation.feed("upstream", m(b"Q", b"SELECT 42\0"))
    answers = conversation.feed("downstream", m(b"T", bytes(2)) + ROW + DONE + m(b"Z", b"T"))
    assert told([query]) == [("Query", "SELECT 42", 2)]
    assert told(answers) == [
        (name, "SELECT 42", 2) for name in ("RowDescription", "DataRow", "CommandComplete", "ReadyForQuery")
    ]
    assert answers[2].facts["tag"] == "SELECT 1" and answers[3].facts["status"] == "T" and answers[3].last


def test_a_second_execution_is_told_with_the_statement_prepared_before() -> None:
    conversation, sql = connected(), "SELECT $1::int4"
    conversation.feed("upstream", PARSE + DESCRIBE + SYNC)
    first = conversation.feed("downstream", m(b"1") + m(b"t", bytes(2)) + m(b"T", bytes(2)) + READY)
    assert {message.text for message in first} == {sql}
    asked = conversation.feed("upstream", BOUND + EXECUTE + SYNC)
    assert told(asked) == [("Bind", sql, 3), ("Execute", sql, 3), ("Sync", sql, 3)]
    assert asked[0].facts == {"portal": "", "statement": "s1", "values": (b"\0\0\0*", None)}
    answers = conversation.feed("downstream", m(b"2") + ROW + DONE + READY)
    assert told(answers) == [(name, sql, 3) for name in ("BindComplete", "DataRow", "CommandComplete", "ReadyForQuery")]


def pipeline(*statements: bytes) -> bytes:
    return b"".join(m(b"P", b"\0" + sql + b"\0\0\0") + m(b"B", bytes(8)) + EXECUTE for sql in statements) + SYNC


def test_pipelined_statements_each_have_their_answers_and_an_error_ends_the_rest() -> None:
    conversation = connected()
    conversation.feed("upstream", pipeline(b"INSERT 1", b"INSERT 2", b"INSERT 3") + pipeline(b"SELECT 4"))
    one = m(b"1") + m(b"2") + m(b"C", b"INSERT 0 1\0")
    answers = conversation.feed("downstream", one + m(b"1") + m(b"2") + FAILED + READY + one + READY)
    assert [(a.text, a.exchange) for a in answers if a.type == "CommandComplete"] == [("INSERT 1", 2), ("SELECT 4", 3)]
    (failed,) = [a for a in answers if a.type == "ErrorResponse"]
    assert failed.text == "INSERT 2" and not failed.last
    assert failed.facts == {
        "severity": "ERROR", "sqlstate": "23505", "message": "duplicate key", "detail": "it is there"
    }  # fmt: skip


def test_a_fatal_error_ends_its_exchange_and_a_lonely_one_belongs_to_none() -> None:
    conversation = connected()
    (lonely,) = conversation.feed("downstream", GONE)
    assert (lonely.exchange, lonely.last) == (0, False)
    conversation.feed("upstream", m(b"Q", b"SELECT 1\0"))
    (answer,) = conversation.feed("downstream", GONE)
    assert (answer.exchange, answer.last, answer.facts["sqlstate"]) == (2, True, "57P01")


def test_what_comes_unasked_belongs_to_no_exchange() -> None:
    conversation = connected()
    conversation.feed("upstream", m(b"Q", b"SELECT 1\0"))
    notified, notice = conversation.feed("downstream", NOTIFIED + NOTICE)
    assert told([notified]) == [("NotificationResponse", "", 0)]
    assert notified.facts == {"process": 7, "channel": "news", "payload": "hi"}
    assert notice.facts["message"] == "hello"


@pytest.mark.parametrize("syncs", [1, 2], ids=["sync behind the data", "sync before and behind the data"])
def test_copied_data_belongs_to_its_statement(syncs: int) -> None:
    conversation, sql = connected(), "COPY t FROM STDIN"
    asked = pipeline(sql.encode())
    conversation.feed("upstream", asked if syncs == 2 else asked[: -len(SYNC)])
    conversation.feed("downstream", m(b"1") + m(b"2") + m(b"G", bytes(3)))
    copied = conversation.feed("upstream", m(b"d", b"1\n") + m(b"c") + SYNC + m(b"Q", b"SELECT 1\0"))
    assert told(copied) == [
        ("CopyData", sql, 2), ("CopyDone", sql, 2), ("Sync", sql, 2), ("Query", "SELECT 1", 3)
    ]  # fmt: skip
    answers = conversation.feed(
        "downstream", DONE + READY + m(b"H", bytes(3)) + m(b"d", b"1\n") + m(b"c") + DONE + READY
    )
    assert [(a.text, a.exchange) for a in answers if a.last] == [(sql, 2), ("SELECT 1", 3)]


@pytest.mark.parametrize(("answer", "why"), [(b"S", "TLS"), (b"N", "")])
def test_an_encrypted_connection_is_opaque(answer: bytes, why: str) -> None:
    conversation = Postgres()
    assert told(conversation.feed("upstream", SSL)) == [("SSLRequest", "", 1)]
    assert told(conversation.feed("downstream", answer)) == [("SSLResponse", "", 1)]
    assert conversation.opaque == why
    (start,) = conversation.feed("upstream", START)
    assert start.type == ("StartupMessage" if answer == b"N" else OPAQUE)


def test_direct_tls_and_cancelling_are_recognised() -> None:
    conversation = Postgres()
    assert conversation.feed("upstream", b"\x16\x03\x01")[0].type == OPAQUE and conversation.opaque == "TLS"
    assert conversation.feed("downstream", OK)[0].type == OPAQUE
    (cancel,) = Postgres().feed("upstream", startup(80877102, b"\0\0\0\7\0\0\0\1"))
    assert (cancel.type, cancel.facts["process"]) == ("CancelRequest", 7)


def test_what_is_no_postgres_is_opaque_and_goes_on() -> None:
    conversation = connected()
    assert conversation.feed("upstream", SYNC + b"?what")[-1] == Message(b"?what", OPAQUE)
    assert conversation.feed("upstream", SYNC) == [Message(SYNC, OPAQUE)]
    assert conversation.opaque == "not Postgres"


def test_a_long_row_is_told_in_parts() -> None:
    conversation, row = connected(), m(b"D", bytes(2 * postgres.MOST))
    conversation.feed("upstream", m(b"Q", b"SELECT 1\0"))
    pieces = [row[i : i + 65536] for i in range(0, len(row), 65536)]
    parts = [message for piece in pieces for message in conversation.feed("downstream", piece)]
    assert [(p.type, p.whole, p.text) for p in parts] == [("DataRow", False, "SELECT 1")] * 3
    assert b"".join(p.raw for p in parts) == row
    assert conversation.feed("downstream", READY)[0].last


# -- any bytes in any slices --------------------------------------------------------------------------------------

UP = st.lists(
    st.sampled_from([
        m(b"Q", b"SELECT 1\0"), PARSE, BOUND, EXECUTE, DESCRIBE, CLOSE, SYNC, m(b"H"), m(b"d", b"1\n"), m(b"c"),
        m(b"f", b"no\0"), m(b"X"), m(b"p", b"x\0"), m(b"F", bytes(8)), m(b"P", b"\0SELECT 2\0\0\0"),
    ]),
    max_size=12,
).map(lambda said: START + b"".join(said))  # fmt: skip
DOWN = st.lists(
    st.sampled_from([
        READY, ROW, DONE, FAILED, GONE, NOTICE, NOTIFIED, m(b"1"), m(b"2"), m(b"3"), m(b"t", bytes(2)), m(b"n"),
        m(b"T", bytes(2)), m(b"s"), m(b"I"), m(b"G", bytes(3)), m(b"W", bytes(3)), m(b"V", bytes(4)), m(b"v", bytes(8)),
    ]),
    max_size=12,
).map(lambda said: WELCOME + b"".join(said))  # fmt: skip
CUTS = st.lists(st.integers(0, 300), max_size=30)


def slices(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def talk(up: list[bytes], down: list[bytes]) -> list[tuple[object, ...]]:
    """Feed both directions, one after the other; every byte is told or kept, and little is kept."""
    conversation, understood = Postgres(), []
    streams: list[tuple[Stream, list[bytes]]] = [("upstream", up), ("downstream", down)]
    for stream, pieces in streams:
        said: list[Message] = []
        for piece in pieces:
            said += conversation.feed(stream, piece)
            assert len(conversation.rest(stream)) <= postgres.MOST + 8
        assert b"".join(x.raw for x in said) + conversation.rest(stream) == b"".join(pieces)
        understood += [
            (x.raw, x.type, x.text, x.exchange, x.last, x.whole, dict(x.facts)) for x in said if x.type != OPAQUE
        ]
    return understood


@pytest.mark.parametrize("most", [16, 1 << 20])
@given(up=UP, down=DOWN, cuts=CUTS)
def test_any_split_gives_the_same_messages(most: int, up: bytes, down: bytes, cuts: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "MOST", most)
        patch.setattr(held, "MOST", most)
        whole = talk([up], [down])
        assert b"".join(raw for raw, *_ in whole) == up + down  # type: ignore[misc]
        assert talk(slices(up, cuts), slices(down, cuts)) == whole
        assert talk([bytes([b]) for b in up], [bytes([b]) for b in down]) == whole


@given(st.just(b"") | st.just(START), st.binary(max_size=300), st.binary(max_size=300), CUTS)
def test_garbage_is_passed_on(start: bytes, up: bytes, down: bytes, cuts: list[int]) -> None:
    talk(slices(start + up, cuts), slices(down, cuts))


@given(UP, DOWN, CUTS, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4))
def test_flipped_bytes_lose_nothing(up: bytes, down: bytes, cuts: list[int], flips: list[tuple[int, int]]) -> None:
    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        for at, byte in flips:
            if at < len(changed):
                changed[at] = byte
        return bytes(changed)

    assert talk(slices(flip(up), cuts), slices(flip(down), cuts)) == talk([flip(up)], [flip(down)])
