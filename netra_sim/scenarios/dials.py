"""What a slider of the panel offers for each attribute of a fault: unit, range, and a value that makes a difference."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dial:
    """A range of integers and where the slider stands at first; `note` says what an end of the range means."""

    unit: str
    low: int
    high: int
    usual: int
    step: int
    note: str = ""


DIALS: dict[tuple[str, str], Dial] = {
    ("latency", "latency"): Dial("ms", 0, 2000, 100, 10),
    ("latency", "jitter"): Dial("ms", 0, 1000, 0, 10),
    ("bandwidth", "rate"): Dial("KB/s", 0, 1000, 20, 10, "0 stalls"),
    ("slow_close", "delay"): Dial("ms", 0, 5000, 1000, 100),
    ("slicer", "average_size"): Dial("bytes", 1, 1000, 20, 1),
    ("slicer", "size_variation"): Dial("bytes", 0, 500, 0, 1),
    ("slicer", "delay"): Dial("µs", 0, 100_000, 5000, 1000),
    ("limit_data", "bytes"): Dial("bytes", 0, 100_000, 10_000, 1000),
    ("reset_peer", "timeout"): Dial("ms", 0, 5000, 0, 50, "0 at once"),
    ("timeout", "timeout"): Dial("ms", 0, 5000, 0, 50, "0 never closes"),
    ("corrupt", "every"): Dial("bytes", 1, 10_000, 500, 1, "one changed in so many"),
}
