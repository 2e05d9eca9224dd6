"""What workers told as bands and steps."""

from netra_sim.reports import gauges
from netra_sim.reports.gauges import Band, Steps
from tests.unit.reports.sample_history import Tape


def told(worker="lab-worker-1", redis="closed", used=1, size=4, level="normal"):
    return {
        "worker": worker, "level": level, "breakers": {"postgres": "closed", "redis": redis},
        "pool": {"size": size, "used": used}, "sockets": 2, "runs": 1,
    }  # fmt: skip


def observed(*records):
    tape = Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    for at, value in records:
        tape.put(at, "observer", "gauges", "seen", value)
    tape.put(10.0, "run", "load_ended", "seen", {})
    tape.put(12.0, "auditor", "residue", "seen", {"left": []})
    found = gauges.gauges(tape.history())
    assert found is not None
    return found


def lane(found, name, worker="worker 1"):
    return next(each for each in found.lanes if (each.name, each.worker) == (name, worker))


def test_a_value_holds_until_the_next_and_the_last_until_the_load_ends():
    found = observed((1.0, told()), (2.0, told(used=2)), (3.0, told(redis="open", level="partial")), (5.0, told()))
    assert lane(found, "redis").bands == (Band(1.0, 3.0, "closed"), Band(3.0, 5.0, "open"), Band(5.0, 10.0, "closed"))
    assert lane(found, "level").bands[1].state == "partial" and lane(found, "postgres").calm
    assert found.used == Steps((1.0, 2.0, 3.0, 5.0, 10.0), (1, 2, 1, 1))


def test_a_worker_that_does_not_answer_is_silent_and_counts_nothing():
    silent = {"worker": "lab-worker-1", "answers": False}
    found = observed((1.0, told()), (2.0, told("lab-worker-2", used=3)), (4.0, silent), (6.0, told(used=2)))
    assert [band.state for band in lane(found, "redis").bands] == ["closed", "silent", "closed"]
    assert found.used.values == (1, 4, 3, 5) and found.size.values == (4, 8, 4, 8)
    assert lane(found, "level", "worker 2").bands == (Band(2.0, 10.0, "normal"),)


def test_nothing_observed_no_gauges():
    tape = Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    assert gauges.gauges(tape.history()) is None


def test_many_steps_become_few_that_keep_the_peaks():
    fine = Steps(tuple(n / 10 for n in range(5001)), tuple(90 if n == 1234 else n % 7 for n in range(5000)))
    coarse = gauges.coarse(fine)
    assert len(coarse.values) == 400 and max(coarse.values) == 90
    assert coarse.edges[0] == 0.0 and abs(coarse.edges[-1] - 500.0) < 1e-6
    assert gauges.coarse(coarse) is coarse
