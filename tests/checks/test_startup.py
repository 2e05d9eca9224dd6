from netra_sim.checks.startup import answered_from_nothing, stored_everywhere
from netra_sim.kernel.history import History, Record
from tests.checks.story import Story, about, cannot_tell, convicts, good, inserted, passes, renamed, told, user, without

COLD = answered_from_nothing(30.0, 5.0)


def cold(answer: str = "ok") -> Story:
    story = Story(step=0).op("lab", "start", what="postgres", took=2.0).op("lab", "start", what="workers", took=1.0)
    story.op("user-1", "signup", took=0.5, told={"user_id": "u-1"}).op("user-1", "connect", took=0.1)
    return story.op("user-1", "chat", answer, took=1.4)  # type: ignore[arg-type]


def test_the_first_answer_in_time_passes_and_names_the_longest_part():
    verdict = passes(COLD, cold().end())
    assert "5 s after nothing was running (goal 5 s)" in verdict.observed
    assert "start of postgres with 2 s" in verdict.observed


def test_a_late_first_answer_is_convicted_with_the_slow_part():
    verdict = convicts(answered_from_nothing(4.9, 1.0), cold().end(), "5 s after nothing")
    assert {facts["what"]: facts["which"] for facts in verdict.evidence}["start of postgres"] == "first and worst"
    slower = cold().op("user-1", "login", took=3.0).op("user-2", "chat", took=0.1).end()
    which = {facts["what"]: facts["which"] for facts in convicts(answered_from_nothing(4.9, 1.0), slower).evidence}
    assert which == {"start of postgres": "first", "login": "worst", "chat": "last"}
    assert "the longest part was login with 3 s" in passes(COLD, slower).observed


def test_exactly_the_limit_is_in_time():
    passes(answered_from_nothing(5.0, 5.0), cold().end())


def test_only_the_first_answer_counts():
    passes(COLD, cold().op("user-2", "chat", took=60).end())
    history = cold().op("user-2", "chat").end()
    passes(COLD, renamed(history, about("chat", "ok", actor="user-1"), t=history.start + 100_000_000_000))


def test_no_answer_is_a_failure_and_no_start_is_no_cold_start():
    for outcome in ("fail", "unknown"):
        convicts(COLD, cold(outcome).end(), "No question was answered")
        cannot_tell(COLD, renamed(cold().end(), about("connect", "ok"), phase=outcome), "no connect")
    cannot_tell(COLD, good(), "no cold start")
    cannot_tell(COLD, without(cold().end(), about("connect", "invoke")), "no connect")


def kept(last: dict[str, int] | None = None) -> History:
    """The good history, with what Redis holds of each user's stream."""
    story = good()
    rows = {r.value["user_id"]: max(r.value["seqs"]) for r in story.seen("events") if r.actor == "auditor"}
    streams = [{"user_id": u, "last_seq": n} for u, n in {**rows, **(last or {})}.items() if n]
    return History((*story.records, Record(story.end, 1_000_000, "auditor", "streams", "seen", {"rows": streams})))


def test_answers_that_both_stores_hold_pass():
    assert "found whole in Postgres and Redis" in passes(stored_everywhere(), kept()).observed


def test_a_stream_that_redis_lacks_or_holds_in_part_is_convicted():
    convicts(stored_everywhere(), kept({user("user-1"): 0}), "Redis holds the stream up to 0")
    for last in (3, 999):
        convicts(stored_everywhere(), kept({user("user-1"): last}), f"up to {last}")


def test_events_that_postgres_lacks_are_convicted():
    where = about("events", user_id=user("user-1"))
    for history in (without(kept(), where), told(kept(), where, seqs=[])):
        convicts(stored_everywhere(), history, "Postgres has no event of the user")


def test_a_chat_that_was_not_answered_need_not_be_stored():
    for phase in ("fail", "unknown"):
        lost = inserted(kept(), about("load_ended"), "user-9", "chat", "invoke", message_id="m-9")
        passes(stored_everywhere(), inserted(lost, about("load_ended"), "user-9", "chat", phase, run_id="r-9"))


def test_a_run_that_postgres_lacks_or_that_has_not_completed_is_convicted():
    runs = about("runs", actor="auditor")
    convicts(stored_everywhere(), told(kept(), runs, rows=[]), "Postgres has no such run")
    open_ = [{**row, "status": "running"} for r in kept().seen("runs") for row in r.value["rows"]]
    convicts(stored_everywhere(), told(kept(), runs, rows=open_), "the run is running")


def test_stores_that_nobody_read_prove_nothing():
    cannot_tell(stored_everywhere(), good(), "not read")
    cannot_tell(stored_everywhere(), History([r for r in kept().records if r.f != "chat"]), "No chat was answered")
