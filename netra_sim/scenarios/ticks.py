"""What happens in a history, every half second, in plain counts: for whoever watches live."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from netra_sim.kernel.history import HistoryWriter, Record

EVERY = 0.5  # seconds
Tick = dict[str, Any]
Watch = Callable[[Tick], None]
_OUTCOMES = ("ok", "fail", "unknown")
_LEVELS = ("normal", "partial", "degraded", "minimal")  # of a worker, the best first
_STATES = ("closed", "half_open", "open")  # of a breaker, the best first


class Ticker:
    """Sums up records as they come; an operation that has begun and not ended is counted when it ends."""

    def __init__(self, start: int) -> None:
        """`start` is the time 0 of the ticks, ns."""
        self._start, self._last = start, start
        self._begun: dict[int, int] = {}
        self._faults: dict[int, dict[str, Any]] = {}
        self._workers: dict[str, Mapping[str, Any]] = {}

    def tick(self, records: Iterable[Record], now: int, users: int) -> Tick:
        """`ops` {name: {outcome: n}} and `median_s`, `slowest_s` of those that ended since the last tick.

        `elapsed` and `interval` are seconds; `faults` those active now: id, kind, target. `level` and `breakers`
        {name: state} are the worst that any worker tells of itself, None and empty while no worker does.
        """
        ops: dict[str, dict[str, int]] = {}
        took: list[float] = []
        for record in records:
            self._note(record)
            begun = self._begun.pop(record.id, None) if record.phase in _OUTCOMES else None
            if begun is not None:
                counts = ops.setdefault(record.f, dict.fromkeys(_OUTCOMES, 0))
                counts[record.phase] += 1
                took.append((record.t - begun) / 1e9)
        interval, self._last = (now - self._last) / 1e9, now
        return {
            "elapsed": round((now - self._start) / 1e9, 3),
            "interval": round(interval, 3),
            "ops": ops,
            "median_s": round(statistics.median(took), 4) if took else None,
            "slowest_s": round(max(took), 4) if took else None,
            "users": users,
            "faults": list(self._faults.values()),
            **self._health(),
        }

    def _note(self, record: Record) -> None:
        if record.f == "gauges":
            self._workers[record.value["worker"]] = record.value
        elif record.phase == "invoke":
            self._begun[record.id] = record.t
        elif record.phase == "fired":
            target = record.value.get("target", "")
            self._faults[record.id] = {"id": record.id, "kind": record.f, "target": target}
        elif record.phase == "healed":
            self._faults.pop(record.id, None)

    def _health(self) -> dict[str, Any]:
        told = [gauges for gauges in self._workers.values() if "level" in gauges]
        breakers: dict[str, str] = {}
        for gauges in told:
            for name, state in gauges["breakers"].items():
                breakers[name] = max(state, breakers.get(name, state), key=_STATES.index)
        return {"level": max((g["level"] for g in told), key=_LEVELS.index, default=None), "breakers": breakers}


async def ticking(history: HistoryWriter, online: Callable[[], int], watch: Watch) -> None:
    """Tell `watch` every half second until cancelled; `online` says how many users are there."""
    ticker, told = Ticker(history.clock.now_ns()), 0
    while True:
        await history.clock.sleep(EVERY)
        new = history.since(told)
        told += len(new)
        watch(ticker.tick(new, history.clock.now_ns(), online()))
