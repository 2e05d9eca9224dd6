"""A run and its control as pairs: what is counted, with exact numbers, and whose it is."""

import pytest

from netra_sim.kernel.history import History
from netra_sim.reports.pairs import Fact, pair
from tests.unit.reports import sample_history


class Told(sample_history.Tape):
    """A history told by hand, whose load begins after `up` seconds."""

    def __init__(self, up=2.0):
        super().__init__()
        self.up = up
        self.put(0.0, "run", "start", "seen", {"wall": 1.0, "schema": 1})
        self.put(up, "run", "load_started", "seen", {"users": 2, "planned_arrivals": 2})

    def chat(self, at, took, user="user-1", outcome="ok", missing=(), message=None):
        value = {"message_id": message or f"{user}-m{at:g}"}
        result = {"partial": bool(missing), "missing": list(missing)} if outcome == "ok" else {"code": "x"}
        self.op(self.up + at, took, user, "chat", outcome, value, result)

    def send(self, at, took=0.01, user="user-1", outcome="ok"):
        self.op(self.up + at, took, user, "send", outcome, {"message_id": f"{user}-m{at:g}"}, {})

    def model(self, *calls):
        """The model's log: (message, attempt, tokens)."""
        rows = [{"draw": f"u/{m}/triage/answer/{attempt}", "tokens": tokens} for m, attempt, tokens in calls]
        self.put(self.up + 90, "auditor", "llm_calls", "seen", {"rows": rows})

    def stored(self, *messages):
        self.put(self.up + 90, "auditor", "messages", "seen", {"rows": [["u", message] for message in messages]})

    def frames(self, *seqs, user="user-1"):
        self.op(self.up, 0.01, user, "connect", "ok", {}, {"connection_id": "c", "last_seq": 0, "user_id": "u"})
        for n, seq in enumerate(seqs):
            value = {"seq": seq, "connection": "c", "user_id": "u", "type": "agent_thinking", "run_id": "r"}
            self.put(self.up + 1 + n, user, "frame", "seen", value)


def facts(protected, control):
    """By name: (with, without, sign)."""
    found = pair(protected.history(), control.history()).facts
    assert len({fact.name for fact in found}) == len(found)
    return {fact.name: (fact.protected, fact.control, fact.sign) for fact in found}


def test_the_ends_of_questions_are_counted_over_all_that_either_run_asked():
    protected, control = Told(), Told()
    for n in range(5):
        protected.chat(n, 0.5)
    protected.chat(5, 0.5, missing=["savings"])
    control.chat(0, 0.5)
    control.chat(1, 0.5, outcome="fail")
    control.chat(2, None, outcome="unknown")
    told = facts(protected, control)
    assert told["Questions answered in full"] == (5, 1, "saved")
    assert told["Questions answered in part"] == (1, 0, "cost")
    assert told["Questions that failed"] == (0, 1, "saved")
    assert told["Questions left without an answer"] == (0, 1, "saved")
    assert told["Questions that users never got to ask"] == (0, 3, "saved")


def test_a_run_beside_itself_costs_and_saves_nothing():
    history = sample_history.history(users=6)
    both = pair(history, history)
    assert both.facts and {fact.sign for fact in both.facts} == {"same"} and both.slower is None


def test_only_users_that_are_in_both_count():
    protected, control = Told(), Told()
    for user in ("user-1", "user-2", "user-3"):
        protected.chat(1, 0.5, user)
    control.chat(1, 0.5, "user-2", "fail")
    control.chat(1, 0.5, "user-9")
    both = pair(protected.history(), control.history())
    assert both.users == ("user-2",)
    assert [(f.name, f.protected, f.control) for f in both.facts][:2] == [
        ("Questions answered in full", 1, 0), ("Questions that failed", 0, 1),
    ]  # fmt: skip


def test_what_neither_run_recorded_is_no_fact():
    protected, control = Told(), Told()
    protected.chat(1, 0.5)
    control.chat(1, 0.5)
    assert facts(protected, control) == {"Questions answered in full": (1, 1, "same")}
    assert pair(History(()), History(())).facts == ()


def test_refusals_are_a_cost_of_failing_fast():
    protected, control = Told(), Told()
    for n in range(3):
        protected.send(n, outcome="fail")
        control.send(n, 4.0, outcome="unknown")
    told = facts(protected, control)
    assert told["Send: failed"] == (3, 0, "cost") and told["Send: no answer"] == (0, 3, "saved")


def test_times_are_those_of_the_same_operations_that_succeeded_in_both():
    protected, control = Told(), Told()
    for n in range(5):
        protected.chat(n, 0.1 * (n + 1))
        control.chat(n, 0.2 * (n + 1))
    protected.chat(5, 9.0)  # its twin fails, so its time counts in neither
    control.chat(5, 0.1, outcome="fail")
    told = facts(protected, control)
    assert told["Chat, the same 5 in both: median"] == (pytest.approx(0.3), pytest.approx(0.6), "saved")
    assert told["Chat, the same 5 in both: slowest"] == (pytest.approx(0.5), pytest.approx(1.0), "saved")


@pytest.mark.parametrize(("number", "took", "expected"), [(4, 2.0, None), (5, 1.05, "same"), (5, 0.5, "cost")])
def test_few_or_near_times_tell_nothing(number, took, expected):
    protected, control = Told(), Told()
    for n in range(number):
        protected.chat(n, 1.0)
        control.chat(n, took)
    found = facts(protected, control).get(f"Chat, the same {number} in both: median")
    assert (found and found[2]) == expected


def test_waiting_for_nothing_is_summed_once():
    protected, control = Told(), Told()
    protected.chat(1, 0.5, outcome="fail")
    control.chat(1, 3.0, outcome="fail")
    control.send(1, 3.0, outcome="fail")  # within the question
    control.op(4.0, 1.5, "user-1", "history", "unknown", {}, {})
    assert facts(protected, control)["Time waited for nothing"] == (0.5, 4.5, "saved")


def test_a_message_is_lost_when_it_was_acknowledged_and_is_not_stored():
    protected, control = Told(), Told()
    for tape in (protected, control):
        tape.send(1)
        tape.send(2)
        tape.send(3, outcome="fail")
    protected.stored("user-1-m1", "user-1-m2")
    control.stored("user-1-m2")
    assert facts(protected, control)["Messages acknowledged and then lost"] == (0, 1, "saved")


def test_without_the_auditors_reading_nothing_is_said_of_messages():
    protected, control = Told(), Told()
    protected.send(1)
    control.send(1)
    protected.stored()
    assert "Messages acknowledged and then lost" not in facts(protected, control)


def test_events_that_are_missing_twice_or_late():
    protected, control = Told(), Told()
    protected.frames(1, 2, 3, 4, 5, 6)
    control.frames(1, 4, 3, 4, 5)
    told = facts(protected, control)
    assert told["Events missing from a user's stream"] == (0, 2, "saved")
    assert told["Events delivered twice"] == (0, 1, "saved")
    assert told["Events delivered out of order"] == (0, 1, "saved")


def test_calls_and_tokens_are_those_of_questions_that_both_asked():
    protected, control = Told(), Told()
    for n in (1, 2):
        protected.chat(n, 0.5)
        control.chat(n, 0.5)
    protected.chat(3, 0.5)
    protected.model(
        ("user-1-m1", 1, 0), ("user-1-m1", 2, 60), ("user-1-m2", 1, 40), ("user-1-m3", 1, 999), ("user-9-m1", 2, 5)
    )
    control.model(("user-1-m1", 1, 0), ("user-1-m2", 1, 40))
    told = facts(protected, control)
    assert told["Model calls a question"] == (1.5, 1.0, "cost")
    assert told["Model calls made again"] == (1, 0, "cost")
    assert told["Tokens the model wrote"] == (100, 40, "cost")


def test_tokens_that_hardly_differ_are_the_same():
    protected, control = Told(), Told()
    protected.chat(1, 0.5)
    control.chat(1, 0.5)
    protected.model(("user-1-m1", 1, 1000))
    control.model(("user-1-m1", 1, 1040))
    assert facts(protected, control)["Tokens the model wrote"] == (1000, 1040, "same")


def test_attempts_to_come_back_are_counted():
    protected, control = Told(), Told()
    for tape, times in ((protected, 1), (control, 4)):
        tape.chat(1, 0.5)
        for n in range(times):
            tape.put(tape.up + 2 + n, "user-1", "reconnect", "seen", {"attempt": n})
    assert facts(protected, control)["Attempts to reconnect"] == (1, 4, "saved")


def test_a_bad_token_that_is_let_in_is_the_controls():
    protected, control = Told(), Told(up=9.0)
    for tape, outcome in ((protected, "ok"), (control, "fail")):
        tape.op(tape.up + 1, 0.01, "user-1", "connect_refused", outcome, {}, {})
    assert facts(protected, control) == {"Bad tokens refused": (1, 0, "saved"), "Bad tokens let in": (0, 1, "saved")}


def test_a_machine_that_was_slower_takes_the_blame_for_what_is_worse_in_its_run():
    protected, control = Told(up=2.0), Told(up=6.0)
    for n in range(5):
        protected.chat(n, 0.1)
        control.chat(n, 0.4)
        protected.send(n, outcome="fail")
        control.send(n, 0.1)
    control.op(7.0, 0.5, "user-1", "login", "fail", {}, {})
    both = pair(protected.history(), control.history())
    assert both.slower is both.control
    signs = {fact.name: fact.sign for fact in both.facts}
    assert signs["Chat, the same 5 in both: median"] == "busy" and signs["Login: failed"] == "busy"
    assert signs["Send: failed"] == "cost"  # slowness of the other run does not explain it


@pytest.mark.parametrize(("up", "slower"), [(2.4, False), (2.6, True)])
def test_a_machine_counts_as_slower_from_a_quarter_on(up, slower):
    protected, control = Told(up=2.0), Told(up=up)
    assert (pair(protected.history(), control.history()).slower is not None) is slower


def test_faults_and_points_count_from_the_beginning_of_each_load():
    protected, control = Told(up=2.0), Told(up=6.0)
    for tape in (protected, control):
        tape.chat(1, 0.5)
        id_ = tape.put(tape.up, "nemesis", "kill", "planned", {"target": "redis", "at": 3.0})
        tape.put(tape.up + 3, "nemesis", "kill", "fired", {"target": "redis"}, id_)
        tape.put(tape.up + 4, "nemesis", "kill", "healed", {"hits": 1}, id_)
    both = pair(protected.history(), control.history())
    for side in (both.protected, both.control):
        assert [p.at for p in side.points] == [1.0]
        assert [(s.start, s.end) for s in side.spans] == [(3.0, 4.0)]


def test_a_fact_is_a_plain_value():
    assert Fact("n", "s", 1.0, 2.0, "saved") == Fact("n", "s", 1.0, 2.0, "saved")
