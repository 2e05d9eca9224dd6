"""The language model's trouble: a history in which users were served well, and ones in which they were not."""

from collections.abc import Callable
from typing import Any

import pytest

from netra_sim.checks import model
from netra_sim.checks.verdict import Check
from netra_sim.kernel.history import History, HistoryWriter
from tests.checks.story import (
    _Hand,
    about,
    cannot_tell,
    convicts,
    passes,
    renamed,
    script,
    told,
    user,
    value_of,
    without,
)

MARK = "(incomplete"
FULL: dict[str, Any] = {"partial": False, "missing": [], "by": "primary"}
FALLBACK = {**FULL, "by": "fallback"}
PARTIAL: dict[str, Any] = {"partial": True, "missing": ["reporting"], "by": "rule"}
# When each phase begins and ends, and what its runs get.
PHASES = {
    "calm": (0.0, 9.0, FULL), "mix": (10.0, 20.0, FULL), "hung": (40.0, 50.0, FALLBACK),
    "stall": (60.0, 70.0, PARTIAL), "outage": (80.0, 90.0, PARTIAL), "end": (100.0, 110.0, FULL),
}  # fmt: skip
WALL = 1_000_000.0
Edit = Callable[[str, int, dict[str, Any]], dict[str, Any] | None]


def call(message: str, at: float, attempt: int = 1, agent: str = "data", **more: Any) -> dict[str, Any]:
    usual = {"model": "netra-large", "status": 200, "outcome": "ok", "tokens": 60, "seconds": 0.1, "silent": 0.0}
    row = {"at": WALL + at, "agent": agent, "draw": f"u/{message}/{agent}/answer/{attempt}"}
    return {**row, **usual, **more}


def story(edit: Edit = lambda _p, _n, result: result, calls: int = 2) -> History:
    """Ten runs a phase; `edit` says what a run gets (None: nothing ever), `calls` how often one in the outage calls."""
    hand = _Hand()
    writer = HistoryWriter(hand)
    start = writer.freeze().records[0]
    start.value["wall"] = WALL
    rows: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    kept: list[tuple[float, Callable[[], object]]] = []

    def do(at: float, what: Callable[[], object]) -> None:
        kept.append((at, what))

    ids: dict[int, int] = {}
    do(0.0, lambda: writer.complete(writer.invoke("ann", "login"), "ann", "login", "ok", user_id=user("ann")))
    for label, (begin, end, usual) in PHASES.items():
        if label not in ("calm", "end"):
            faults: dict[str, int] = {}
            planned = {"target": "llm", "label": label}
            do(0.0, lambda f=faults, p=planned: f.update(id=writer.fault(None, "script", "planned", **p)))
            do(begin, lambda f=faults: writer.fault(f["id"], "script", "fired", target="llm", hits=0))
            do(end, lambda f=faults: writer.fault(f["id"], "script", "healed", target="llm", hits=9))
        for n in range(10):
            at, run = begin + 0.1 + n * 0.8, f"{label}-{n}"
            key = len(ids) + len(kept)
            do(at, lambda k=key, r=run: ids.update({k: writer.invoke("ann", "chat", message_id=f"m-{r}")}))
            result = edit(label, n, dict(usual))
            number = calls if label == "outage" else 2
            rows += [call(f"m-{run}", at + 0.1 * i, i + 1) for i in range(number)]
            if label == "stall":
                stalled = {"outcome": "stalled", "status": 499, "tokens": 18, "silent": 0.5, "seconds": 0.6}
                rows.append(call(f"m-{run}", at + 0.3, agent="reporting", **stalled))
            if result is None:
                continue
            text = f"It costs 5 USD. {MARK})" if label == "stall" else "It costs 5 USD."
            answers.append({"run_id": run, "user_id": user("ann"), "thread_id": "t", "text": text})
            about_frame = {"user_id": user("ann"), "run_id": run, "thread_id": "t", "tool": None, "call": None}
            for seq, (type_, agent, _, _) in enumerate(script("insufficient"), start=1):
                frame = {**about_frame, "type": type_, "agent": agent, "seq": seq, "run_seq": seq}
                do(at + 0.5, lambda f=frame: writer.seen("ann", "frame", **f))
            do(at + 0.5, lambda k=key, r=run, x=result: writer.complete(ids[k], "ann", "chat", "ok", run_id=r, **x))
    rows.append(call("m-mix-0", 11.0, 3, status=429, outcome="refused", tokens=0, retry_after=2.0))
    rows.append(call("m-mix-0", 13.2, 4))
    rows += [call("m-mix-1", 12.0, 3, outcome="malformed"), call("m-mix-1", 12.5, 4, outcome="wrong_schema")]
    for at, what in sorted(kept, key=lambda each: each[0]):
        hand.ns = 1_000_000_000 + round(at * 1e9)
        what()
    hand.ns = 1_000_000_000 + round(112 * 1e9)
    writer.seen("run", "load_ended", users=1, planned_arrivals=1)
    hand.ns += 1_000_000_000
    writer.seen("auditor", "llm_calls", rows=rows)
    writer.seen("auditor", "answers", rows=answers)
    return writer.freeze()


CHECKS: dict[str, Check] = {
    c.name: c
    for c in (
        model.full_answers("mix", 0.95, 8),
        model.full_or_partial("stall", 0.95, 8),
        model.full_again("outage", 5.0, 0.95, 8),
        model.answered_by("hung", "fallback", 0.95, 8),
        model.told_in_outage("outage", 3.0, 8),
        model.retry_after_honoured(),
        model.no_storm("outage", 1.2, 8),
        model.stall_detected("stall", 0.8),
        model.partial_text_kept(MARK),
        model.never_raw(),
    )
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_good_history_passes(name: str):
    passes(CHECKS[name], story())


def only(label: str, result: dict[str, Any] | None) -> Edit:
    return lambda phase, n, usual: result if phase == label and n == 3 else usual


@pytest.mark.parametrize(
    ("name", "label", "result", "says"),
    [
        ("full_answers", "mix", PARTIAL, "9 of 10 runs"),
        ("full_answers", "mix", None, "9 of 10 runs"),
        ("full_or_partial", "stall", {"partial": False, "missing": ["data"]}, "9 of 10"),
        ("full_or_partial", "stall", None, "9 of 10"),
        ("full_again", "end", PARTIAL, "9 of 10"),
        ("answered_by", "hung", PARTIAL, "9 of 10"),
        ("told_in_outage", "outage", None, "1 of 10 runs: the user got no answer"),
        ("told_in_outage", "outage", {"partial": False, "missing": ["data"]}, "was not told what is missing"),
    ],
)
def test_one_run_that_was_served_badly_is_found(name: str, label: str, result: dict[str, Any] | None, says: str):
    convicts(CHECKS[name], story(only(label, result)), says)


def test_a_fallback_model_that_hardly_wrote_is_found():
    convicts(CHECKS["answered_by"], story(lambda label, n, r: FULL if label == "hung" and n > 1 else r), "wrote in 2")


def test_a_run_that_takes_too_long_in_the_outage_is_found():
    convicts(model.told_in_outage("outage", 0.2, 8), story(), "longer than 0.2 s")


@pytest.mark.parametrize(
    ("type_", "says"), [("tool_executing", "no tool_executing"), ("agent_completed", "no agent_completed")]
)
def test_a_run_without_its_events_in_the_outage_is_found(type_: str, says: str):
    history = story()
    records = [r for r in history.records if (r.value.get("run_id"), r.value.get("type")) != ("outage-2", type_)]
    convicts(CHECKS["told_in_outage"], History(records), says)


def test_an_outage_in_which_all_was_well_was_none():
    cannot_tell(CHECKS["told_in_outage"], story(lambda _l, _n, _r: FULL), "no outage")


def changed(where: Callable[[dict[str, Any]], bool], **change: Any) -> History:
    """The model's log says something else of the rows that match."""
    history = story()
    rows = next(r for r in history.records if r.f == "llm_calls").value["rows"]
    assert any(map(where, rows))
    return told(history, about("llm_calls"), rows=[{**row, **change} if where(row) else row for row in rows])


def test_a_call_before_its_retry_after_is_found():
    early = changed(lambda row: row["draw"] == "u/m-mix-0/data/answer/4", at=WALL + 12.5)
    convicts(CHECKS["retry_after_honoured"], early, "1 of 1 call")
    other = changed(lambda row: row["draw"] == "u/m-mix-0/data/answer/4", at=WALL + 12.5, model="netra-small")
    cannot_tell(CHECKS["retry_after_honoured"], other, "No call was made again")


def test_a_storm_is_found():
    convicts(CHECKS["no_storm"], story(calls=6), "6.0 times")


def test_a_stalled_stream_that_was_held_is_found():
    held = changed(lambda row: row["draw"] == "u/m-stall-2/reporting/answer/1", silent=2.0)
    convicts(CHECKS["stall_detected"], held, "1 of 10 stalled streams")


def test_a_broken_off_text_that_was_lost_is_found():
    history = story()
    rows = next(r for r in history.records if r.f == "answers").value["rows"]
    lost = [{**row, "text": "It costs 5 USD."} if row["run_id"] == "stall-4" else row for row in rows]
    convicts(CHECKS["partial_text_kept"], told(history, about("answers"), rows=lost), "9 of 10")


def test_raw_output_is_found():
    history = story()
    rows = next(r for r in history.records if r.f == "answers").value["rows"]
    raw = [{**row, "text": '{"summary":"It c,'} if row["run_id"] == "mix-1" else row for row in rows]
    convicts(CHECKS["never_raw"], told(history, about("answers"), rows=raw), "1 of 60 answers")


def test_what_never_happened_cannot_be_judged():
    cannot_tell(CHECKS["never_raw"], changed(lambda row: row["outcome"] == "malformed", outcome="ok"), "no malformed")
    smooth = changed(lambda row: row["outcome"] == "stalled", outcome="ok")
    cannot_tell(CHECKS["stall_detected"], smooth, "No stream")
    cannot_tell(CHECKS["partial_text_kept"], smooth, "broke off")
    cannot_tell(model.full_answers("quake", 0.95, 8), story(), "did not strike")
    cannot_tell(model.full_answers("mix", 0.95, 11), story(), "Only 10 runs")
    cannot_tell(model.no_storm("outage", 1.2, 11), story(), "Only 10 runs")


@pytest.mark.parametrize("phase", ["fail", "unknown"])
def test_a_chat_that_did_not_end_well_is_no_answer_whatever_it_says(phase: str):
    for name, run in (("full_answers", "mix-3"), ("full_or_partial", "stall-3")):
        convicts(CHECKS[name], renamed(story(), about("chat", "ok", run_id=run), phase=phase), "9 of 10")


def test_just_enough_runs_and_just_the_share_will_do():
    passes(model.full_answers("mix", 0.9, 10), story(only("mix", PARTIAL)))
    assert "the slowest after 0.5 s" in passes(model.told_in_outage("outage", 0.5, 10), story()).observed
    ended = {r.id for r in story().records if str(r.value.get("message_id")).startswith("m-end")}
    ten_calm = History(r for r in story().records if r.f != "chat" or r.id not in ended)
    passes(model.no_storm("outage", 1.2, 10), ten_calm)


@pytest.mark.parametrize("other", ["aide", "primary"])
def test_the_fallback_must_have_written_a_quarter(other: str):
    def wrote(n_: int) -> History:
        return story(lambda label, n, r: {**FULL, "by": other} if label == "hung" and n >= n_ else r)

    passes(CHECKS["answered_by"], wrote(3))
    evidence = convicts(CHECKS["answered_by"], wrote(2), "wrote in 2").evidence
    assert {facts["by"] for facts in evidence} == {other}
    eight = wrote(2)
    for n in (8, 9):
        eight = renamed(eight, about("chat", "invoke", message_id=f"m-hung-{n}"), f="ask")
    passes(CHECKS["answered_by"], eight)
    cannot_tell(model.answered_by("hung", "fallback", 0.95, 11), wrote(0), "Only 10 runs")


def test_what_began_under_the_next_fault_or_never_ended_is_not_of_the_recovery():
    cannot_tell(model.full_again("stall", 5.0, 0.95, 8), story(), "Only 0 runs")
    assert "9 of 9 runs" in passes(CHECKS["full_again"], story(only("end", None))).observed


def test_a_run_without_the_supervisors_end_is_found():
    end = ("outage-2", "supervisor", "agent_completed")
    keys = ("run_id", "agent", "type")
    cut = History(r for r in story().records if tuple(map(r.value.get, keys)) != end)
    convicts(CHECKS["told_in_outage"], cut, "it has no end")


@pytest.mark.parametrize("change", [{"status": 200}, {"status": 503}, {"retry_after": None}])
def test_only_a_refusal_with_retry_after_asks_to_wait(change: dict[str, Any]):
    cannot_tell(CHECKS["retry_after_honoured"], changed(lambda row: row["status"] == 429, **change), "No call was made")


def more(*rows: dict[str, Any], calls: int = 2) -> History:
    """The model's log has these rows, too."""
    history = story(calls=calls)
    return told(history, about("llm_calls"), rows=[*value_of(history, about("llm_calls"))["rows"], *rows])


def test_calls_are_counted_for_the_runs_that_met_no_fault_and_those_under_it():
    twice = more(*(call(f"m-end-{n}", 100.0, k) for n in range(10) for k in (3, 4)), calls=3)
    assert "3.0 times, one without any fault 3.0 times" in passes(CHECKS["no_storm"], twice).observed
    assert convicts(model.no_storm("outage", 1.0, 8), story()).evidence[0]["t"] == 80.0
    passes(CHECKS["no_storm"], more(*({**call("", 85.0), "draw": draw} for draw in ["", "u/m-outage-0"] * 50)))
    convicts(CHECKS["no_storm"], more(*[{**call("", 85.0), "draw": "u/m-outage-0/1"}] * 50), "7.0 times")


def test_a_stream_that_never_began_did_not_stall_in_its_midst():
    passes(model.stall_detected("stall", 0.5), story())
    one = lambda row: row["draw"] == "u/m-stall-2/reporting/answer/1"  # noqa: E731
    passes(CHECKS["stall_detected"], changed(one, silent=2.0, tokens=0))
    (facts,) = convicts(CHECKS["stall_detected"], changed(one, silent=2.0, tokens=1)).evidence
    assert facts["t"] == pytest.approx(60.1 + 2 * 0.8 + 0.3)


def test_an_early_call_tells_when_it_came():
    early = changed(lambda row: row["draw"] == "u/m-mix-0/data/answer/4", at=WALL + 12.5)
    assert convicts(CHECKS["retry_after_honoured"], early).evidence[0]["t"] == 12.5


@pytest.mark.parametrize(
    ("agent", "outcome", "tokens", "judge"),
    [
        ("reporting", "ok", 60, passes),
        ("reporting", "ok", 1, passes),
        ("reporting", "refused", 0, convicts),
        ("triage", "ok", 60, convicts),
        ("data", "ok", 60, convicts),
    ],
)
def test_only_a_report_of_which_nothing_else_was_heard_broke_off(agent, outcome, tokens, judge):
    history = more(call("m-stall-4", 63.7, 2, agent, outcome=outcome, tokens=tokens))
    rows = value_of(history, about("answers"))["rows"]
    lost = [{**row, "text": "It costs 5 USD."} if row["run_id"] == "stall-4" else row for row in rows]
    judge(CHECKS["partial_text_kept"], told(history, about("answers"), rows=lost))


def test_the_beginning_of_raw_output_is_told():
    rows = value_of(story(), about("answers"))["rows"]
    raw = told(story(), about("answers"), rows=[{**rows[0], "text": '{"' + "x" * 100}, *rows[1:]])
    assert len(convicts(CHECKS["never_raw"], raw).evidence[0]["text"]) == 80


def test_what_nobody_read_or_no_fault_struck_cannot_be_judged():
    for name in ("no_storm", "stall_detected", "partial_text_kept", "never_raw", "retry_after_honoured"):
        cannot_tell(CHECKS[name], without(story(), about("llm_calls")))
    for name in ("partial_text_kept", "never_raw"):
        cannot_tell(CHECKS[name], without(story(), about("answers")), "not read")
    cannot_tell(model.no_storm("quake", 1.2, 8), story(), "did not strike")
    cannot_tell(model.stall_detected("quake", 0.8), story(), "did not strike")


def at(seconds: float) -> int:
    return 1_000_000_000 + round(seconds * 1e9)


@pytest.mark.parametrize(
    ("asked", "judge"), [(9.999, cannot_tell), (10.0, passes), (20.0, passes), (20.001, cannot_tell)]
)
def test_what_is_asked_as_the_fault_strikes_or_ends_is_of_it(asked: float, judge: Callable[..., object]):
    judge(
        model.full_answers("mix", 0.95, 10),
        renamed(story(), about("chat", "invoke", message_id="m-mix-0"), t=at(asked)),
    )


def test_the_recovery_lasts_to_the_next_strike_or_the_loads_end():
    passes(model.full_again("mix", 20.0, 0.95, 10), story())  # the strike at that very moment is not the next one
    last = about("chat", "ok", run_id="end-9")
    for ended, judged in ((112.0, "10 of 10"), (112.001, "9 of 9")):
        assert passes(CHECKS["full_again"], renamed(story(), last, t=at(ended))).observed.startswith(judged)
    assert passes(CHECKS["full_again"], without(story(), about("load_ended"))).observed.startswith("10 of 10")


def test_a_run_that_touches_a_fault_did_not_live_without_any():
    check = model.no_storm("outage", 1.2, 10)
    for spared, phase, run, t in (("end", "ok", "calm-9", 10.0), ("calm", "invoke", "end-0", 90.0)):
        ended = {r.id for r in story().records if str(r.value.get("message_id")).startswith(f"m-{spared}")}
        ten_calm = History(r for r in story().records if r.f != "chat" or r.id not in ended)
        key = {"run_id": run} if phase == "ok" else {"message_id": f"m-{run}"}
        cannot_tell(check, renamed(ten_calm, about("chat", phase, **key), t=at(t)), "Only 9 runs")


def test_a_fault_that_never_struck_or_ended_has_no_span():
    for phase in ("fired", "healed"):
        unspanned = without(story(), about("script", phase))  # of `mix`
        cannot_tell(CHECKS["full_answers"], unspanned, "did not strike and end")
        cannot_tell(CHECKS["no_storm"], unspanned, "never struck")


def test_runs_that_call_no_model_are_no_measure():
    rows = value_of(story(), about("llm_calls"))["rows"]
    idle = [row for row in rows if "m-calm" not in row["draw"] and "m-end" not in row["draw"]]
    cannot_tell(CHECKS["no_storm"], told(story(), about("llm_calls"), rows=idle), "did not call the model")


def test_a_call_may_be_early_by_what_rounding_takes():
    for came, judge in ((12.996, passes), (12.994, convicts)):
        again = changed(lambda row: row["draw"] == "u/m-mix-0/data/answer/4", at=WALL + came)  # 13.0 was asked for
        judge(CHECKS["retry_after_honoured"], again)


def test_only_what_broke_off_and_what_is_partial_is_judged():
    one = lambda row: row["draw"] == "u/m-stall-2/reporting/answer/1"  # noqa: E731
    assert "of 9 stalled" in passes(CHECKS["stall_detected"], changed(one, silent=2.0, outcome="ok")).observed
    whole = story(only("stall", FULL))
    rows = [{**row, "text": "It costs 5 USD."} if row["run_id"] == "stall-3" else row
            for row in value_of(whole, about("answers"))["rows"]]  # fmt: skip
    assert "9 of 9" in passes(CHECKS["partial_text_kept"], told(whole, about("answers"), rows=rows)).observed
    shaped = changed(lambda row: row["outcome"] == "wrong_schema", outcome="ok")
    cannot_tell(CHECKS["never_raw"], shaped, "none of a wrong shape")
