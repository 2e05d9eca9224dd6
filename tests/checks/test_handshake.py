import pytest

from netra_sim.checks.handshake import LIMITS, both_ways, refuses_bad_tokens, welcome_complete
from netra_sim.kernel.history import History
from tests.checks.story import CONFIG, Story, about, cannot_tell, convicts, good, passes, renamed, told, user

WELCOME, WAYS, REFUSES = welcome_complete(), both_ways(), refuses_bad_tokens()
GOOD = good()
BY_HEADER = about("connect", "ok", connection_id="c-1")
BY_SUBPROTOCOL = about("connect", "ok", connection_id="c-2")


def test_the_good_history_passes():
    assert "All 4 welcomes" in passes(WELCOME, GOOD).observed
    assert "3 by header and 1 by subprotocol" in passes(WAYS, GOOD).observed


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("value", [None, 0, -1, "25", True])
def test_a_welcome_without_a_positive_limit_is_convicted(limit, value):
    convicts(WELCOME, told(GOOD, BY_HEADER, config={**CONFIG, limit: value}), f"no positive {limit}")


@pytest.mark.parametrize("limit", LIMITS)
def test_any_limit_above_zero_will_do(limit):
    passes(WELCOME, told(GOOD, BY_HEADER, config={**CONFIG, limit: 0.5}))


def test_a_welcome_without_its_own_connection_id_is_convicted():
    convicts(WELCOME, told(GOOD, BY_HEADER, connection_id=""), "no connection id")
    convicts(WELCOME, told(GOOD, BY_HEADER, connection_id=None), "no connection id")
    convicts(WELCOME, told(GOOD, BY_HEADER, connection_id="c-2"), "given before")
    convicts(WELCOME, told(GOOD, BY_HEADER, config=None), "no positive")


def test_a_socket_of_another_user_is_convicted():
    convicts(WAYS, told(GOOD, BY_HEADER, user_id=user("user-2")), "1 of 4 handshakes", "as another user")
    convicts(WAYS, told(GOOD, BY_SUBPROTOCOL, user_id=user("user-1")), "as another user")


@pytest.mark.parametrize("answer", [None, "jwt", "jwt.abc"])
def test_a_wrong_subprotocol_is_convicted(answer):
    convicts(WAYS, told(GOOD, BY_SUBPROTOCOL, subprotocol=answer), f"answered with {answer}")


def test_a_way_that_never_opens_is_convicted():
    convicts(WAYS, renamed(GOOD, BY_SUBPROTOCOL, phase="fail"), "not one socket opened by subprotocol")


def test_a_way_that_was_not_tried_is_unknown():
    lost = renamed(GOOD, BY_SUBPROTOCOL, phase="unknown")
    cannot_tell(WAYS, lost, "subprotocol")
    header_only = Story().login("user-1").connect("user-1").end()
    cannot_tell(WAYS, header_only, "subprotocol")
    cannot_tell(WAYS, Story().end())
    cannot_tell(WELCOME, Story().end())


def test_a_refused_login_before_the_good_one_changes_nothing():
    story = Story().op("user-1", "login", "fail", told={"code": "store_unavailable"})
    story.login("user-1").connect("user-1").login("user-2").connect("user-2", "subprotocol")
    passes(WAYS, story.end())


def test_a_user_who_never_signed_in_proves_no_way():
    strangers = History(r for r in GOOD.records if r.f != "login" or r.actor != "user-2")
    cannot_tell(WAYS, strangers, "subprotocol")


def probes(skip: tuple[str, str] | None = None, **changed: object) -> History:
    story = Story()
    for via in ("header", "subprotocol"):
        for token, code in (("none", 4401), ("tampered", 4403)):
            if (via, token) != skip:
                story.op("probe", "connect_refused", told={"close_code": code}, via=via, token=token)
    story.op("probe", "connect_refused", told={"close_code": 4402}, via="header", token="expired")
    return told(story.end(), about("connect_refused", "ok"), **changed)


def test_refused_with_the_right_codes_passes():
    assert "All 5 probes" in passes(REFUSES, probes()).observed


@pytest.mark.parametrize("code", [4403, 1000, 1008, None])
def test_a_wrong_close_code_is_convicted(code):
    convicts(REFUSES, probes(close_code=code), f"token none by header was closed with {code}, not 4401")


def test_a_bad_token_that_is_let_in_is_convicted():
    convicts(
        REFUSES, renamed(probes(), about("connect_refused", "ok"), phase="fail"), "token none by header was let in"
    )


@pytest.mark.parametrize("skip", [(via, token) for via in ("header", "subprotocol") for token in ("none", "tampered")])
def test_a_probe_that_is_missing_leaves_it_open(skip):
    cannot_tell(REFUSES, probes(skip), f"token {skip[1]} by {skip[0]}", "No probe was answered")


def test_a_probe_without_an_answer_leaves_it_open():
    cannot_tell(REFUSES, renamed(probes(), about("connect_refused", "ok"), phase="unknown"), "token none by header")
    passes(refuses_bad_tokens(("tampered",)), probes(("header", "none")))
    cannot_tell(refuses_bad_tokens(("none", "expired")), probes(), "token expired by subprotocol")
