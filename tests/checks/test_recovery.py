import pytest

from netra_sim.checks.deadlines import pool_recovers
from netra_sim.checks.recovery import recovers
from netra_sim.kernel.history import History
from tests.checks.story import Story, about, cannot_tell, convicts, passes, renamed

CHECK = recovers(6.0)


def outage(*after: tuple[float, str], healed: float | None = 20.0, hits: int = 1, ended: float = 40.0) -> History:
    """Killed at 10 s; then sends at these times, each 0.1 s long; a send during the outage failed."""
    story = Story(step=0).op("user-1", "send").fault("kill", "postgres", 10.0, healed, hits)
    for t, outcome in ((11.0, "fail"), *after):
        story.at(t).op("user-1", "send", outcome)
    return story.at(ended).seen("run", "load_ended").end()


def steady(start: float, n: int = 40, fail: int = 0) -> list[tuple[float, str]]:
    return [(start + k * 0.2, "fail" if n - k <= fail else "ok") for k in range(n)]


def test_a_quick_recovery_passes_and_names_its_times():
    verdict = passes(CHECK, outage((20.5, "fail"), *steady(21.0)))
    assert "1.1 s after the kill of postgres was healed" in verdict.observed
    fault = verdict.evidence[0]
    assert (fault["fired"], fault["healed"], fault["recovered"]) == (10.0, 20.0, 21.1)


def test_a_slow_recovery_is_convicted():
    slow = [(20.0 + n * 0.5, "fail") for n in range(13)]
    convicts(CHECK, outage(*slow, *steady(26.6)), "6.7 s after")


def test_exactly_the_limit_is_in_time():
    passes(CHECK, outage((20.5, "fail"), *steady(25.9)))


def test_failures_after_the_recovery_are_convicted():
    passes(CHECK, outage(*steady(21.0, fail=2)))
    convicts(CHECK, outage(*steady(21.0, fail=3)), "never came back for good", "37 of 40 succeeded")


def test_an_unknown_outcome_afterwards_is_no_success():
    history = outage(*steady(21.0), *((30.0 + n, "unknown") for n in range(3)))
    convicts(CHECK, history, "40 of 43")


def test_an_unknown_outcome_is_not_the_moment_of_the_recovery():
    convicts(CHECK, outage((20.5, "unknown"), *steady(30.0)), "Back 10.1 s after")


def test_the_ops_that_did_not_succeed_are_the_evidence():
    mixed = [(20.5, "ok"), (21.0, "unknown"), (22.0, "ok"), *((23.0 + n, "fail") for n in range(9)), (32.5, "ok")]
    _, first, last = convicts(recovers(6.0, at_least=0.5, enough=3), outage(*mixed), "never came back").evidence
    assert [(facts["t"], facts["outcome"]) for facts in (first, last)] == [(21.0, "unknown"), (31.0, "fail")]
    later = [*steady(21.0), (30.0, "unknown"), (31.0, "fail"), *steady(32.0, n=5)]
    _, first, last = passes(CHECK, outage(*later)).evidence
    assert [(facts["t"], facts["outcome"]) for facts in (first, last)] == [(30.0, "unknown"), (31.0, "fail")]


def test_a_lone_success_between_failures_is_no_recovery():
    ops = [(20.5, "ok"), *((20.6 + n * 0.1, "fail") for n in range(10)), *steady(24.0)]
    assert "Back 4.1 s after" in passes(CHECK, outage(*ops)).observed
    convicts(recovers(3.0), outage(*ops), "4.1 s after")


def test_too_few_ops_tell_nothing():
    cannot_tell(recovers(6.0, enough=10), outage(*steady(21.0, n=9)), "Only 9 ops")
    passes(recovers(6.0, enough=10), outage(*steady(21.0, n=10)))


def test_no_recovery_at_all_is_convicted():
    history = outage(*((20.5 + n, "fail") for n in range(10)))
    convicts(CHECK, history, "never came back for good after the kill of postgres was healed: 0 of 10")


def test_ops_from_before_the_heal_or_after_the_load_do_not_count():
    history = outage((19.99, "ok"), *((20.5 + n, "fail") for n in range(10)), (41.0, "ok"))
    assert "0 of 10 succeeded" in convicts(CHECK, _load_ends(history, 40.5)).observed
    convicts(CHECK, _load_ends(history, 41.0), "Back 21.1 s after", "1 of 1 op ")


def _load_ends(history: History, t: float) -> History:
    ns = history.start + round(t * 1e9)
    return renamed(history, about("load_ended"), t=ns)


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (outage(), "No sends were made"),
        (outage((27.0, "ok")), "Only 1 op of sends were made"),
        (outage((26.000000001, "ok")), "Only 1 op of sends were made"),
        (outage(*steady(21.0), healed=None), "never struck"),
        (outage(*steady(21.0), hits=0), "never struck"),
        (Story().op("user-1", "send").end(), "No kill was planned"),
    ],
)
def test_what_cannot_be_judged_is_unknown(history, words):
    cannot_tell(CHECK, history, words)


def test_ops_from_just_the_limit_on_are_judged():
    convicts(CHECK, outage((26.0, "ok")), "6.1 s after")


def test_a_fault_that_was_never_healed_is_unknown():
    story = Story(step=0)
    story.fault("kill", "postgres", 10.0, None)
    records = [type(r)(r.t, r.id, r.actor, r.f, r.phase, {**r.value, "hits": 1}) for r in story.end().records]
    cannot_tell(CHECK, History(records), "never healed")


def after_each(*outcomes: str, other: str = "kill", during: str = "fail") -> History:
    """Two faults, 10 to 12 s and 20 to 22 s, with sends of these outcomes after each, and one in the second."""
    story = Story(step=0).fault("kill", "postgres", 10.0, 12.0)
    for n in range(20):
        story.at(13.0 + n * 0.1).op("user-1", "send", outcomes[0], took=0.01)
    story.fault(other, "worker-1", 20.0, 22.0)
    story.at(21.0).op("user-1", "send", during)
    for n in range(20):
        story.at(23.0 + n * 0.5).op("user-1", "send", outcomes[1], took=0.01)
    return story.at(40.0).seen("run", "load_ended").end()


def test_each_of_two_faults_is_judged():
    passes(CHECK, after_each("ok", "ok"))
    convicts(CHECK, after_each("ok", "fail"), "after the kill of worker-1 was healed: 0 of 20 succeeded")
    convicts(CHECK, after_each("fail", "ok"), "after the kill of postgres was healed: 0 of 20 succeeded")


def test_a_fault_after_which_nobody_asked_leaves_it_open():
    quiet = History(r for r in after_each("ok", "ok").records if r.f != "send" or r.t < 22_000_000_000)
    cannot_tell(CHECK, quiet, "No sends were made")


def test_a_blow_that_is_over_at_once_is_not_the_next_one():
    story = Story(step=0).fault("kill", "postgres", 10.0, 10.0).at(11.0).op("user-1", "send")
    passes(CHECK, story.at(40.0).seen("run", "load_ended").end())


def test_the_damage_of_the_next_fault_is_not_this_recoverys():
    for other in ("delay", "timeout"):
        passes(CHECK, after_each("ok", "fail", other=other))
    convicts(CHECK, after_each("fail", "fail", other="timeout"), "0 of 20 succeeded")
    assert "20 of 20 ops" in passes(CHECK, after_each("ok", "ok", other="timeout")).observed


def test_an_op_that_the_next_fault_cut_off_is_not_this_recoverys():
    story = Story(step=0).fault("kill", "postgres", 10.0, 12.0).at(13.0).op("user-1", "send").at(19.95)
    story.op("user-1", "send", "unknown", took=0.1).fault("timeout", "postgres", 20.0, 22.0)
    assert "1 of 1 op " in passes(CHECK, story.at(40.0).seen("run", "load_ended").end()).observed


def test_an_op_that_was_over_as_the_next_fault_struck_is_judged():
    story = Story(step=0).fault("kill", "postgres", 10.0, 12.0).at(13.0).op("user-1", "send").at(19.9)
    story.op("user-1", "send").fault("timeout", "postgres", 20.0, 22.0)
    assert "2 of 2 ops" in passes(CHECK, story.at(40.0).seen("run", "load_ended").end()).observed


def test_the_pool_recovers_after_a_stall():
    def stall(outcome: str) -> History:
        story = Story(step=0).fault("timeout", "postgres", 10.0, 15.0)
        for n in range(30):
            story.at(16.0 + n).op("user-1", "history", outcome)
        return story.at(50.0).seen("run", "load_ended").end()

    assert pool_recovers(5.0).name == "pool_recovers"
    passes(pool_recovers(5.0), stall("ok"))
    convicts(pool_recovers(5.0), stall("fail"))
    cannot_tell(pool_recovers(5.0, after="pause"), stall("ok"))
