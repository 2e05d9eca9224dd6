"""The language model's trouble, judged in the span of a fault that its `label` names.

A run is full when its answer came and misses nothing; partial when the answer came, says so, and names what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from netra_sim.checks.evidence import Facts, at, counted, notable, op_facts, percent, seconds, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import FIVE, SUPERVISOR, audited, identities, run_events, wall_to_run
from netra_sim.kernel.history import History, Op

Span = tuple[float, float]  # seconds since the run's start
Proves = tuple[str, ...]
_EARLY = 0.005  # seconds by which a rounded header may differ
_RAW = ('{"', '":', "```")  # what JSON looks like to a reader


def full(op: Op) -> bool:
    """Whether a chat got its whole answer."""
    return op.outcome == "ok" and not op.result.get("missing")


def partial(op: Op) -> bool:
    """Whether a chat got an answer that says that it is partial and what is missing."""
    return op.outcome == "ok" and bool(op.result.get("partial")) and bool(op.result.get("missing"))


def full_answers(label: str, at_least: float, enough: int, *, name: str = "full_answers", proves: Proves = ()) -> Check:
    """Of the runs begun under the fault, `enough` or more, at least this share (0 to 1) give a full answer."""
    return _share(name, label, at_least, enough, full, "a full answer", proves)


def full_or_partial(
    label: str, at_least: float, enough: int, *, name: str = "full_or_partial", proves: Proves = ()
) -> Check:
    """As `full_answers`, for a full answer or a partial one that names what is missing."""
    told = "a full answer or a partial one that names what is missing"
    return _share(name, label, at_least, enough, lambda op: full(op) or partial(op), told, proves)


def answered_by(
    label: str, by: str, at_least: float, enough: int, *, name: str = "answered_by", proves: Proves = ()
) -> Check:
    """As `full_answers`; and the model `by` wrote in at least a quarter of them, for not all meet the fault."""

    def judge(history: History) -> Finding:
        span = _span(history, label)
        if span is None:
            return unknown(f"The fault {label} did not strike and end.")
        chats = _begun(history, span)
        found = _judged(history, chats, full, at_least, enough, "a full answer")
        wrote = sum(op.result.get("by") == by for op in chats)
        told = f"{found.observed} The {by} model wrote in {wrote:,} of them."
        if found.outcome != "pass" or wrote * 4 >= len(chats):
            return Finding(found.outcome, told, found.evidence)
        others = [op_facts(history, op, by=op.result.get("by")) for op in chats if op.result.get("by") != by]
        return Finding("fail", told, notable(others))

    expected = f"Under {label}, at least {at_least * 100:g} % of runs give a full answer, with the {by} model's help."
    return Check(name, expected, proves, judge)


def full_again(
    label: str, within_s: float, at_least: float, enough: int, *, name: str = "full_again", proves: Proves = ()
) -> Check:
    """Of the runs begun `within_s` s after the fault's end or later, and over before the next, so many are full."""

    def judge(history: History) -> Finding:
        span = _span(history, label)
        if span is None:
            return unknown(f"The fault {label} did not strike and end.")
        fired = (f.fired for f in history.faults() if f.fired is not None)
        back = span[1] + within_s
        calm = min((t for t in map(history.seconds, fired) if t > back), default=_load_end(history))
        chats = [op for op in _begun(history, (back, calm)) if _ended(history, op) <= calm]
        return _judged(history, chats, full, at_least, enough, "a full answer")

    after = f"From {seconds(within_s)} after the end of {label} on, at least {at_least * 100:g} % of runs give"
    return Check(name, f"{after} a full answer.", proves, judge)


def told_in_outage(
    label: str, limit: float, enough: int, *, name: str = "told_in_outage", proves: Proves = ()
) -> Check:
    """Every run begun in the outage has all five kinds of event and its end within `limit` s, and a partial answer."""

    def judge(history: History) -> Finding:
        span = _span(history, label)
        if span is None:
            return unknown(f"The fault {label} did not strike and end.")
        who = identities(history)
        events = run_events(history)

        def problem(op: Op) -> str:
            of = events.get((who.get(op.actor, ""), str(op.result.get("run_id"))), [])
            if not full(op) and not partial(op):
                return f"the user got no answer, or was not told what is missing ({op.outcome})"
            if op.seconds is None or op.seconds > limit:
                return f"it took longer than {seconds(limit)}"
            lacking = sorted(FIVE - {event.type for event in of})
            ended = any(event.agent == SUPERVISOR and event.type == "agent_completed" for event in of)
            return f"it has no {lacking[0]}" if lacking else "" if ended else "it has no end"

        chats = _begun(history, span)
        if len(chats) < enough:
            return unknown(f"Only {counted(len(chats), 'run')} began under {label}.")
        bad = [op_facts(history, op, problem=told) for op in chats if (told := problem(op))]
        if bad:
            told = f"{len(bad):,} of {counted(len(chats), 'run')}: {bad[0]['problem']}."
            return Finding("fail", told, notable(bad))
        if not any(map(partial, chats)):
            return unknown(f"None of {counted(len(chats), 'run')} was partial: this was no outage.")
        slowest = max(op.seconds or 0.0 for op in chats)
        told = f"All {counted(len(chats), 'run')} had their events and an end, the slowest after {seconds(slowest)}"
        return Finding("pass", f"{told}; {sum(map(partial, chats)):,} were partial and named what was missing.")

    expected = (
        f"Every run begun under {label} shows all five events and ends within {seconds(limit)}, with an answer; "
        "a partial one names what is missing."
    )
    return Check(name, expected, proves, judge)


def retry_after_honoured(*, name: str = "retry_after_honoured", proves: Proves = ()) -> Check:
    """No call asked a model again before the time that it had named in Retry-After.

    A call is told by its draw without the attempt's number; another model may be asked at once. The time counts from
    when the refused call came, by the server's clock alone.
    """

    def judge(history: History) -> Finding:
        table = audited(history, "llm_calls")
        rows = sorted(table.value["rows"], key=lambda row: float(row["at"])) if table else []
        not_before: dict[tuple[str, str], float] = {}
        bad: list[Facts] = []
        again = 0
        for row in rows:
            key = (_call(row), str(row["model"]))
            until = not_before.pop(key, None)
            if until is not None:
                again += 1
                if row["at"] < until - _EARLY:
                    early = {"early_s": round(until - row["at"], 4), "draw": row["draw"], "model": row["model"]}
                    bad.append({"t": round(wall_to_run(history, row["at"] * 1000), 4), **early})
            if row["status"] == 429 and row.get("retry_after") is not None:
                not_before[key] = row["at"] + row["retry_after"]
        if not again:
            return unknown("No call was made again after a refusal with Retry-After.")
        if bad:
            told = (
                f"{len(bad):,} of {counted(again, 'call')} made again came before the time that the server asked for."
            )
            return Finding("fail", told, notable(bad, lambda facts: float(facts["early_s"])))
        return Finding("pass", f"All {counted(again, 'call')} made again waited as long as the server asked.")

    return Check(name, "No call asks a model again before the time that its Retry-After named.", proves, judge)


def no_storm(label: str, times: float, enough: int, *, name: str = "no_storm", proves: Proves = ()) -> Check:
    """The runs begun under the fault called the models fewer than `times` as often, a run, as those that met none."""

    def judge(history: History) -> Finding:
        table, span = audited(history, "llm_calls"), _span(history, label)
        if table is None or span is None:
            return unknown(f"The fault {label} did not strike and end, or the model's log was not read.")
        calls = Counter(
            str(row["draw"]).split("/")[1] for row in table.value["rows"] if str(row["draw"]).count("/") > 1
        )
        under = _begun(history, span)
        calm = _calm(history)
        if len(under) < enough or len(calm) < enough:
            few = min(len(under), len(calm))
            return unknown(f"Only {counted(few, 'run')} began under {label}, or lived without any fault.")
        usual, now = (sum(calls[str(op.value["message_id"])] for op in ops) / len(ops) for ops in (calm, under))
        if not usual:
            return unknown("The runs without any fault did not call the model.")
        told = f"A run under {label} called the models {now:.1f} times, one without any fault {usual:.1f} times"
        mark: Facts = {"t": round(span[0], 4), "calls_a_run": round(now, 2), "usual": round(usual, 2)}
        held = now < times * usual
        return Finding("pass" if held else "fail", f"{told} ({now / usual:.2f}x).", () if held else notable([mark]))

    expected = f"A run under {label} calls the models less than {times:g} times as often as a run without any fault."
    return Check(name, expected, proves, judge)


def stall_detected(label: str, within_s: float, *, name: str = "stall_detected", proves: Proves = ()) -> Check:
    """Each stream that fell silent under the fault was given up within `within_s` s of its last token."""

    def judge(history: History) -> Finding:
        table, span = audited(history, "llm_calls"), _span(history, label)
        if table is None or span is None:
            return unknown(f"The fault {label} did not strike and end, or the model's log was not read.")
        rows = [row for row in table.value["rows"] if row["outcome"] == "stalled" and row["tokens"] > 0]
        if not rows:
            return unknown("No stream stalled in its midst.")
        late = [
            {"t": round(wall_to_run(history, row["at"] * 1000), 4), "silent_s": row["silent"], "draw": row["draw"]}
            for row in rows
            if row["silent"] > within_s
        ]
        longest = max(float(row["silent"]) for row in rows)
        told = f"{len(late):,} of {counted(len(rows), 'stalled stream')} were held for longer than {seconds(within_s)}"
        evidence = notable(late, lambda facts: float(facts["silent_s"]))
        return Finding("fail" if late else "pass", f"{told}; the longest silence was {seconds(longest)}.", evidence)

    expected = f"A stream that falls silent in its midst is given up within {seconds(within_s)}."
    return Check(name, expected, proves, judge)


def partial_text_kept(mark: str, *, name: str = "partial_text_kept", proves: Proves = ()) -> Check:
    """Where all that was heard of a report broke off in its midst, the partial answer holds it, with `mark`."""

    def judge(history: History) -> Finding:
        table, texts = audited(history, "llm_calls"), _answers(history)
        if table is None or texts is None:
            return unknown("The answers or the model's log were not read.")
        heard: dict[str, set[str]] = {}
        for row in table.value["rows"]:
            if row["agent"] == "reporting" and row["tokens"] > 0:
                heard.setdefault(_call(row).split("/")[1], set()).add(str(row["outcome"]))
        broken = {message for message, outcomes in heard.items() if outcomes == {"stalled"}}
        ops = [op for op in history.ops("chat") if op.value["message_id"] in broken and partial(op)]
        if not ops:
            return unknown("No partial answer followed a report that broke off.")
        lost = [op_facts(history, op) for op in ops if mark not in texts.get(str(op.result["run_id"]), "")]
        told = (
            f"{len(ops) - len(lost):,} of {counted(len(ops), 'partial answer')} kept the text that broke off, marked."
        )
        return Finding("fail" if lost else "pass", told, notable(lost))

    expected = "When the model's report breaks off for good, the answer keeps what was said and marks it as incomplete."
    return Check(name, expected, proves, judge)


def never_raw(*, name: str = "never_raw", proves: Proves = ()) -> Check:
    """No stored answer shows JSON, although the model gave malformed answers and some of a wrong shape."""

    def judge(history: History) -> Finding:
        table, answers = audited(history, "llm_calls"), audited(history, "answers")
        if table is None or answers is None:
            return unknown("The answers or the model's log were not read.")
        bad_calls = Counter(str(row["outcome"]) for row in table.value["rows"])
        if not bad_calls["malformed"] or not bad_calls["wrong_schema"]:
            return unknown("The model gave no malformed answer, or none of a wrong shape.")
        rows: Sequence[dict[str, Any]] = answers.value["rows"]
        raw = [
            {"t": at(history, answers.t), "run": row["run_id"], "text": row["text"][:80]}
            for row in rows
            if any(sign in row["text"] for sign in _RAW)
        ]
        spoilt = bad_calls["malformed"] + bad_calls["wrong_schema"]
        told = f"{len(raw):,} of {counted(len(rows), 'answer')} show the model's raw output; it spoilt {spoilt:,}."
        return Finding("fail" if raw else "pass", told, notable(raw))

    return Check(name, "Malformed output of the model is never shown to a user.", proves, judge)


def _share(
    name: str, label: str, at_least: float, enough: int, right: Callable[[Op], bool], what: str, proves: Proves
) -> Check:
    def judge(history: History) -> Finding:
        span = _span(history, label)
        if span is None:
            return unknown(f"The fault {label} did not strike and end.")
        return _judged(history, _begun(history, span), right, at_least, enough, what)

    return Check(name, f"Under {label}, at least {at_least * 100:g} % of runs give {what}.", proves, judge)


def _judged(
    history: History, chats: list[Op], right: Callable[[Op], bool], at_least: float, enough: int, what: str
) -> Finding:
    if len(chats) < enough:
        return unknown(f"Only {counted(len(chats), 'run')} of the {enough:,} needed began then.")
    bad = [op_facts(history, op, missing=op.result.get("missing")) for op in chats if not right(op)]
    good = len(chats) - len(bad)
    held = good >= at_least * len(chats)
    told = f"{good:,} of {counted(len(chats), 'run')} gave {what} ({percent(good, len(chats))})."
    return Finding("pass" if held else "fail", told, notable(bad))


def _span(history: History, label: str) -> Span | None:
    for fault in history.faults():
        if fault.value.get("label") == label and fault.fired is not None and fault.healed is not None:
            return history.seconds(fault.fired), history.seconds(fault.healed)
    return None


def _begun(history: History, span: Span) -> list[Op]:
    """The chats whose question was asked in the span."""
    return [op for op in history.ops("chat") if span[0] <= history.seconds(op.start) <= span[1]]


def _calm(history: History) -> list[Op]:
    """The chats that met no fault from question to answer."""
    spans = [(f.fired, f.healed or history.end) for f in history.faults() if f.fired is not None]
    ops = [op for op in history.ops("chat") if op.end is not None]
    return [op for op in ops if not any(op.start <= end and start <= (op.end or 0) for start, end in spans)]


def _ended(history: History, op: Op) -> float:
    return history.seconds(history.end if op.end is None else op.end)


def _load_end(history: History) -> float:
    marks = history.seen("load_ended")
    return history.seconds(marks[-1].t if marks else history.end)


def _call(row: dict[str, Any]) -> str:
    return str(row["draw"]).rpartition("/")[0]


def _answers(history: History) -> dict[str, str] | None:
    table = audited(history, "answers")
    return None if table is None else {str(row["run_id"]): str(row["text"]) for row in table.value["rows"]}
