"""What a tick counts."""

from netra_sim.kernel.history import Record
from netra_sim.scenarios.ticks import Ticker

S = 10**9


def record(t, id_, f, phase, **value):
    return Record(round(t * S), id_, "user-1", f, phase, value)


def test_an_operation_counts_in_the_tick_in_which_it_ends():
    ticker = Ticker(0)
    first = ticker.tick([record(0.1, 1, "chat", "invoke"), record(0.2, 2, "send", "invoke")], S // 2, 3)
    assert first["ops"] == {} and first["median_s"] is None and first["users"] == 3
    ends = [record(0.6, 2, "send", "fail"), record(0.9, 1, "chat", "ok")]
    second = ticker.tick(ends, S, 3)
    assert second["ops"] == {"send": {"ok": 0, "fail": 1, "unknown": 0}, "chat": {"ok": 1, "fail": 0, "unknown": 0}}
    assert (second["median_s"], second["slowest_s"]) == (0.6, 0.8)
    assert (second["elapsed"], second["interval"]) == (1.0, 0.5)


def test_a_fault_is_active_from_its_blow_to_its_heal():
    ticker = Ticker(0)
    planned = ticker.tick([record(0, 5, "latency", "planned", target="redis")], S, 0)
    fired = ticker.tick([record(1.1, 5, "latency", "fired", target="redis")], 2 * S, 0)
    healed = ticker.tick([record(2.1, 5, "latency", "healed", target="redis")], 3 * S, 0)
    assert planned["faults"] == healed["faults"] == []
    assert fired["faults"] == [{"id": 5, "kind": "latency", "target": "redis"}]


def gauges(t, worker, **told):
    return Record(round(t * S), 0, "observer", "gauges", "seen", {"worker": worker, **told})


def test_the_worst_that_a_worker_tells_of_itself_counts():
    ticker = Ticker(0)
    assert ticker.tick([gauges(0.1, "a", answers=False)], S, 0)["level"] is None
    well = gauges(1.1, "a", level="normal", breakers={"redis": "closed", "llm": "half_open"})
    ill = gauges(1.2, "b", level="partial", breakers={"redis": "open", "llm": "closed"})
    told = ticker.tick([well, ill], 2 * S, 0)
    assert (told["level"], told["breakers"]) == ("partial", {"redis": "open", "llm": "half_open"})
    gone = ticker.tick([gauges(2.1, "b", answers=False)], 3 * S, 0)
    assert (gone["level"], gone["breakers"]) == ("normal", {"redis": "closed", "llm": "half_open"})
