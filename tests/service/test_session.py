"""One user's life against a real server that misbehaves on command."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from netra_sim.kernel.history import History, HistoryWriter, Op
from netra_sim.kernel.rng import Rng
from netra_sim.users import wire
from netra_sim.users.api import Settings
from netra_sim.users.persona import PROBES, Persona, Profile, ReadHistory, Say, account
from netra_sim.users.session import Session
from tests.service.platform import EVENTS, Platform, serving

MESSAGE, THREAD = "7e0e7e0e-0000-4000-8000-000000000001", "7e0e7e0e-0000-4000-8000-000000000002"
WHOLE = {"partial": False, "missing": [], "by": None}
SAY = Say(0.1, MESSAGE, THREAD, "[data:full] What does it cost?")
WHO = Persona(account(Rng(7), 1, Profile()), "header", False, False, True, (), (SAY,))


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with serving(Platform()) as running:
        yield running


def session(platform: Platform, who: Persona = WHO, **settings: float) -> tuple[Session, HistoryWriter]:
    writer = HistoryWriter()
    given = {"deadline_s": 1.0, "chat_deadline_s": 1.0, "time_scale": 0.01, **settings}
    return Session(who, Settings(platform.url, **given), writer, Rng(7)), writer  # type: ignore[arg-type]


async def live(platform: Platform, who: Persona = WHO, **settings: float) -> History:
    one, writer = session(platform, who, **settings)
    await one.run()
    return writer.freeze()


def only(history: History, name: str) -> Op:
    (op,) = history.ops(name)
    return op


def frames(history: History) -> list[tuple[str, int | None]]:
    return [(r.value["type"], r.value["seq"]) for r in history.seen("frame")]


@pytest.mark.parametrize("via", ["header", "subprotocol"])
async def test_a_whole_life(platform: Platform, via: str):
    intents = (SAY, ReadHistory(0.1, THREAD))
    history = await live(platform, replace(WHO, via=via, signs_up=True, logs_out=True, intents=intents))  # type: ignore[arg-type]
    assert [op.f for op in history.ops()] == ["signup", "connect", "chat", "send", "history", "logout"]
    assert {op.outcome for op in history.ops()} == {"ok"}
    assert {r.actor for r in history.records[1:]} == {"user-1"}
    assert all(op.value["deadline_s"] > 0 for op in history.ops() if op.f != "chat")
    assert not history.seen("disconnected")
    connect, send, chat, read = (only(history, name) for name in ("connect", "send", "chat", "history"))
    assert connect.value["via"] == via
    assert connect.result["subprotocol"] == ("jwt-auth" if via == "subprotocol" else None)
    assert send.result == {"run_id": platform.runs[MESSAGE], "message_id": MESSAGE}
    assert chat.result == {"run_id": platform.runs[MESSAGE], "status": "completed", **WHOLE}
    page = {"messages": 2, "runs": [platform.runs[MESSAGE]], "more": False}
    assert read.result == {"status": 200, **page, "foreign": []}
    assert frames(history)[1:] == [("message_accepted", 1), *zip(EVENTS, range(2, 7), strict=True)]
    first = history.seen("frame")[1].value
    assert (first["user_id"], first["connection"]) == (WHO.account.email, connect.result["connection_id"])


async def test_after_a_lost_connection_he_resumes_from_the_last_seq(platform: Platform):
    platform.drop_after = [3]
    history = await live(platform)
    assert [r["last_seq"] for r in platform.resumes] == [0, 3]
    assert platform.resumes[1]["resume_token"] == "again"
    assert [seq for _, seq in frames(history) if seq] == [1, 2, 3, 4, 5, 6]
    assert [op.outcome for op in history.ops("connect")] == ["ok", "ok"]
    replayed = [r.value["seq"] for r in history.seen("frame") if r.value["replayed"]]
    assert replayed == [4, 5, 6]
    assert only(history, "chat").outcome == "ok"
    (lost,) = history.seen("disconnected")
    assert lost.value == {"connection": history.ops("connect")[0].result["connection_id"], "code": 1012}


async def test_an_unacknowledged_message_is_sent_again_under_its_id(platform: Platform):
    platform.drop_after = [0]
    history = await live(platform)
    assert platform.messages == [MESSAGE] * 2
    assert len(platform.runs) == 1
    assert (only(history, "send").outcome, only(history, "chat").outcome) == ("ok", "ok")


async def test_a_line_that_stays_away_makes_the_send_unknown_and_the_next_one_is_an_op_of_its_own(platform: Platform):
    platform.drop_after = [0]
    platform.refuse_after_drop = 2
    history = await live(platform)
    assert [op.outcome for op in history.ops("connect")] == ["ok", "fail", "fail", "ok"]
    assert [(op.outcome, op.result.get("code")) for op in history.ops("send")] == [
        ("unknown", "connection_lost"),
        ("ok", None),
    ]
    assert {op.value["message_id"] for op in history.ops("send")} == {MESSAGE}
    assert only(history, "chat").outcome == "ok"


async def test_his_own_broken_connection_loses_nothing(platform: Platform):
    platform.holds_back = 1  # else a quick platform is done before the connection breaks
    history = await live(platform, replace(WHO, intents=(replace(SAY, drop_after_s=0.0),)))
    connects = history.ops("connect")
    assert [op.outcome for op in connects] == ["ok", "ok"]
    assert connects[0].result["connection_id"] != connects[1].result["connection_id"]
    assert {seq for _, seq in frames(history) if seq} == {1, 2, 3, 4, 5, 6}
    assert (only(history, "send").outcome, only(history, "chat").outcome) == ("ok", "ok")
    assert len(platform.runs) == 1


async def test_duplicates_are_recorded_as_they_arrive(platform: Platform):
    platform.duplicate = True
    history = await live(platform)
    counts = Counter(seq for _, seq in frames(history) if seq and seq < 6)
    assert set(counts.values()) == {2}
    assert len(history.ops("send")) == len(history.ops("chat")) == 1


async def test_a_held_request_is_measured_and_unknown(platform: Platform):
    platform.silent = True
    history = await live(platform, deadline_s=0.02, patience=5)
    send = only(history, "send")
    assert (send.outcome, send.result["code"], send.value["deadline_s"]) == ("unknown", "timeout", 0.02)
    assert send.seconds is not None
    assert send.seconds >= 0.1
    assert only(history, "chat").outcome == "unknown"


async def test_a_run_that_does_not_end_is_unknown(platform: Platform):
    platform.endless = True
    history = await live(platform, chat_deadline_s=0.02, patience=5)
    assert only(history, "send").outcome == "ok"
    assert (only(history, "chat").outcome, only(history, "chat").result["code"]) == ("unknown", "timeout")
    assert [r.value["code"] for r in history.seen("disconnected")] == [1000]  # he left before he was told the end


async def test_a_refusal_with_a_time_is_tried_again_then(platform: Platform):
    refused = {"code": "store_unavailable", "message": "later", "data": {"message_id": MESSAGE, "retry_after_s": 0.01}}
    platform.refusals = [refused]
    history = await live(platform)
    assert [(op.outcome, op.result.get("code")) for op in history.ops("send")] == [
        ("fail", "store_unavailable"),
        ("ok", None),
    ]
    assert only(history, "chat").outcome == "ok"


async def test_a_refusal_without_a_time_or_an_id_ends_the_message(platform: Platform):
    platform.refusals = [{"code": "message_too_large", "message": "too large", "data": {}}]
    history = await live(platform)
    assert (only(history, "send").outcome, only(history, "send").result["code"]) == ("fail", "message_too_large")
    assert (only(history, "chat").outcome, only(history, "chat").result["code"]) == ("fail", "message_too_large")


async def test_a_failed_run_is_told(platform: Platform):
    platform.ending = "agent_death"
    chat = only(await live(platform), "chat")
    assert (chat.outcome, chat.result["code"]) == ("fail", "agent_death")


async def test_canaries_of_others_are_seen_in_frames_and_over_http(platform: Platform):
    platform.leak = f"canary-deadbeef {WHO.account.canary}"
    history = await live(platform, replace(WHO, intents=(SAY, ReadHistory(0, THREAD))))
    struck = [r.value["type"] for r in history.seen("frame") if r.value["foreign"] == ["canary-deadbeef"]]
    assert struck == list(EVENTS)
    assert only(history, "history").result["foreign"] == ["canary-deadbeef"]


async def test_probes_are_ok_when_refused(platform: Platform):
    history = await live(platform, replace(WHO, probes=PROBES, intents=()))
    probes = history.ops("connect_refused")
    assert [(op.value["via"], op.value["token"]) for op in probes] == [(p.via, p.token) for p in PROBES]
    assert [(op.outcome, op.result["close_code"]) for op in probes] == [("ok", 4403)] * 4


async def test_a_probe_fails_when_it_is_let_in(platform: Platform):
    platform.lets_all_in = True
    history = await live(platform, replace(WHO, probes=PROBES[:2], intents=()))
    assert [op.outcome for op in history.ops("connect_refused")] == ["fail", "fail"]


async def test_sign_in_is_tried_again_while_the_platform_is_away(platform: Platform):
    platform.login_failures = [503, 500]
    history = await live(platform)
    assert [op.outcome for op in history.ops("login")] == ["fail", "unknown", "ok"]
    assert only(history, "chat").outcome == "ok"


async def test_wrong_credentials_are_final(platform: Platform):
    platform.login_failures = [401]
    history = await live(platform)
    assert [op.result["code"] for op in history.ops()] == ["told_401"]


async def test_a_taken_address_means_that_the_account_is_there(platform: Platform):
    platform.login_failures = [409]
    history = await live(platform, replace(WHO, signs_up=True))
    assert [(op.f, op.outcome) for op in history.ops("signup", "login")] == [("signup", "fail"), ("login", "ok")]


async def test_a_revoked_user_is_out_and_his_ops_are_unknown(platform: Platform):
    platform.close_with = [1013, 4403]
    history = await live(platform, replace(WHO, intents=(replace(SAY, think_s=100),)))
    assert [(op.outcome, op.result["close_code"]) for op in history.ops("connect")] == [("fail", 1013), ("fail", 4403)]
    assert not history.ops("send")


async def test_an_expired_token_is_renewed(platform: Platform):
    platform.close_with = [wire.EXPIRED]
    history = await live(platform)
    assert [(op.f, op.outcome) for op in history.ops("login", "connect", "refresh")] == [
        ("login", "ok"),
        ("connect", "fail"),
        ("refresh", "ok"),
        ("connect", "ok"),
    ]


async def test_without_a_server_every_op_fails(platform: Platform):
    writer = HistoryWriter()
    gone = Settings("http://127.0.0.1:9", 1.0, 1.0, time_scale=0.0001)
    await Session(WHO, gone, writer, Rng(7)).run()
    history = writer.freeze()
    assert len(history.ops("login")) == wire.TRIES
    assert {(op.outcome, op.result["code"]) for op in history.ops()} == {("fail", "not_connected")}


async def test_a_cancelled_session_ends_in_order(platform: Platform):
    platform.endless = True
    one, writer = session(platform)
    life = asyncio.create_task(one.run())
    await platform.connected.wait()
    life.cancel()
    with pytest.raises(asyncio.CancelledError):
        await life
    assert all(op.end is not None for op in writer.freeze().ops())
    left = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
    assert not [name for name in left if name.startswith(("Session", "Line", "Connection."))]


async def test_who_leaves_before_the_answer_has_abandoned_the_chat_and_nothing_else(platform: Platform):
    platform.drop_after = []
    leaving = replace(WHO, intents=(replace(SAY, abandon_after_s=0.0),))
    chat = only(await live(platform, leaving), "chat")
    assert (chat.outcome, chat.result["abandoned"]) == ("unknown", True)


async def test_after_a_burst_the_next_question_does_not_wait_for_the_answer(platform: Platform):
    other = replace(SAY, message_id="7e0e7e0e-0000-4000-8000-000000000003", think_s=100.0)
    history = await live(platform, replace(WHO, intents=(replace(SAY, burst=True), other)))
    first, second = history.ops("chat")
    assert (first.outcome, second.outcome) == ("ok", "ok")
    assert second.start < (first.end or 0)
