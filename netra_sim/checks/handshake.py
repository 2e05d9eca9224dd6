"""The socket's handshake: a complete welcome, two ways to sign in, and no way around them."""

from __future__ import annotations

from collections import Counter

from netra_sim.checks.evidence import Facts, counted, notable, op_facts, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import identities
from netra_sim.kernel.history import History, Op

LIMITS = ("heartbeat_s", "max_message_bytes", "rate_limit_per_minute")
WAYS = ("header", "subprotocol")
CLOSE_CODES = {"none": 4401, "expired": 4402, "tampered": 4403}


def welcome_complete(
    *,
    name: str = "welcome_complete",
    proves: tuple[str, ...] = ("GP-WS.1",),
    controls: tuple[str, ...] = (),
) -> Check:
    """Every welcome names its connection, which no other has, and the three limits, all positive."""
    expected = f"Every welcome carries a connection id of its own and, all above 0, {', '.join(LIMITS)}."
    return Check(name, expected, proves, _welcomes, controls)


def both_ways(
    *,
    name: str = "both_ways",
    proves: tuple[str, ...] = ("GP-WS.4",),
    controls: tuple[str, ...] = (),
) -> Check:
    """By header and by subprotocol, sockets open for the very user who signed in; subprotocols answer jwt-auth."""
    expected = (
        "By header and by subprotocol at least one socket each is signed in, every one as the right user, and every "
        "subprotocol is answered with jwt-auth."
    )
    return Check(name, expected, proves, _ways, controls)


def refuses_bad_tokens(
    tokens: tuple[str, ...] = ("none", "tampered"),
    *,
    name: str = "refuses_bad_tokens",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """Each of these kinds of bad token is refused on both ways, with its own close code."""

    def judge(history: History) -> Finding:
        probes = [op for op in history.ops("connect_refused") if op.outcome != "unknown"]
        bad = [op_facts(history, op, problem=problem) for op in probes if (problem := _let_in(op))]
        if bad:
            told = f"{len(bad):,} of {counted(len(probes), 'probe')} with a bad token went wrong: {bad[0]['problem']}."
            return Finding("fail", told, notable(bad))
        tried = {(op.value.get("via"), op.value.get("token")) for op in probes}
        untried = [f"{token} by {way}" for way in WAYS for token in tokens if (way, token) not in tried]
        if untried:
            return unknown(f"No probe was answered for token {untried[0]}.")
        told = f"All {counted(len(probes), 'probe')} with a bad token were refused with the right code."
        return Finding("pass", told)

    codes = ", ".join(f"{CLOSE_CODES[token]} for {token}" for token in tokens)
    expected = f"Bad tokens are refused by header and by subprotocol, with close code {codes}."
    return Check(name, expected, proves, judge, controls)


def _connected(history: History) -> list[Op]:
    return [op for op in history.ops("connect") if op.outcome == "ok"]


def _finding(ops: list[Op], bad: list[Facts], good: str) -> Finding:
    if bad:
        evidence = notable(bad)
        told = f"{len(bad):,} of {counted(len(ops), 'handshake')} went wrong: {evidence[0]['problem']}."
        return Finding("fail", told, evidence)
    return Finding("pass", good)


def _welcomes(history: History) -> Finding:
    ops = _connected(history)
    if not ops:
        return unknown("No socket was opened.")
    given: set[str] = set()
    bad: list[Facts] = []
    for op in ops:
        connection = str(op.result.get("connection_id") or "")
        problem = _incomplete(op, connection, given)
        given.add(connection)
        if problem:
            bad.append(op_facts(history, op, problem=problem))
    good = f"All {counted(len(ops), 'welcome')} carried the limits and a connection id of their own."
    return _finding(ops, bad, good)


def _incomplete(op: Op, connection: str, given: set[str]) -> str | None:
    if not connection:
        return "the welcome has no connection id"
    if connection in given:
        return "the connection id was given before"
    config = op.result.get("config") or {}
    lacking = [key for key in LIMITS if not _positive(config.get(key))]
    return f"the welcome has no positive {lacking[0]}" if lacking else None


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _ways(history: History) -> Finding:
    who = identities(history)
    ops = [op for op in _connected(history) if op.actor in who]
    bad = [op_facts(history, op, problem=problem) for op in ops if (problem := _wrong(op, who[op.actor]))]
    open_ = Counter(op.value.get("via") for op in ops)
    missing = [way for way in WAYS if not open_[way]]
    refused = [op for op in history.ops("connect") if op.outcome == "fail" and op.value.get("via") in missing]
    bad += [op_facts(history, op, problem=f"not one socket opened by {op.value['via']}") for op in refused]
    if not bad and missing:
        return unknown(f"No socket of a user who had signed in was opened by {missing[0]}.")
    counts = " and ".join(f"{open_[way]:,} by {way}" for way in WAYS)
    return _finding([*ops, *refused], bad, f"Sockets were signed in as the right user: {counts}.")


def _wrong(op: Op, user: str) -> str | None:
    if str(op.result.get("user_id")) != user:
        return f"{op.actor} was signed in as another user"
    answered = op.result.get("subprotocol")
    if op.value.get("via") == "subprotocol" and answered != "jwt-auth":
        return f"the subprotocol was answered with {answered}"
    return None


def _let_in(op: Op) -> str | None:
    token, via = str(op.value.get("token")), op.value.get("via")
    if op.outcome == "fail":
        return f"token {token} by {via} was let in"
    code, wanted = op.result.get("close_code"), CLOSE_CODES.get(token)
    return None if code == wanted else f"token {token} by {via} was closed with {code}, not {wanted}"
