"""The way from nothing to the first answer as parts."""

from netra_sim.reports import coldstart
from tests.unit.reports import sample_history
from tests.unit.reports.sample_history import Tape


def begun():
    tape = Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    tape.op(0.5, 1.0, "lab", "start", "ok", {"what": "postgres"}, {})
    tape.op(2.0, 0.1, "user-1", "connect", "ok", {}, {})
    tape.op(2.1, 3.0, "user-1", "chat", "ok", {}, {"run_id": "r1"})
    tape.op(2.0, 0.2, "user-2", "connect", "ok", {}, {})
    return tape


def test_the_first_answer_ends_the_way_and_its_user_is_followed():
    tape = begun()
    tape.op(2.3, 1.0, "user-2", "chat", "ok", {}, {"run_id": "r2"})
    tape.op(4.0, 0.1, "user-2", "send", "ok", {}, {})  # after the answer
    rows = [
        [1, "r2", 1, "agent_started", "triage", None, None, 3_400.0],
        [2, "r2", 2, "agent_completed", "triage", None, None, 4_100.0],
    ]
    tape.put(9.0, "auditor", "events", "seen", {"user_id": "u", "seqs": [1, 2], "of": rows})
    found = coldstart.way(tape.history())
    assert found is not None and found.total == 3.3
    assert [(p.stage, p.name, p.start, round(p.end, 6)) for p in found.parts] == [
        ("service", "Postgres", 0.5, 1.5), ("user", "connect", 2.0, 2.2), ("user", "chat", 2.3, 3.3),
        ("agent", "triage", 2.4, 3.1),
    ]  # fmt: skip


def test_without_an_answer_there_is_no_total():
    tape = Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    tape.op(0.5, None, "lab", "start", "unknown", {"what": "redis"}, {})
    tape.put(9.0, "run", "load_ended", "seen", {})
    found = coldstart.way(tape.history())
    assert found is not None and found.total is None
    (part,) = found.parts
    assert (part.name, part.end, part.closed) == ("Redis", 9.0, False)


def test_a_lab_that_was_warm_has_no_way():
    assert coldstart.way(sample_history.history(users=2)) is None
