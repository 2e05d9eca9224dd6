"""What is to be failed, and how: every exchange in every way, less what is equivalent by a rule stated here. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from netra_sim.scenarios.explore.fingerprint import Exchange

FAULTS = ("refuse", "error", "cut_before", "cut_after", "stall", "corrupt")
OF_KIND = {
    "statement": ("refuse", "error", "cut_before", "cut_after", "stall"),
    "command": ("refuse", "error", "cut_before", "cut_after", "stall"),
    "request": ("refuse", "error", "cut_before", "cut_after", "stall"),
    "event": ("cut_before", "stall", "corrupt"),
    "heard": ("error", "cut_before", "cut_after", "stall"),
    "said": ("cut_before", "cut_after", "stall"),
}
SEALED = ("GET session:*",)  # commands whose answer carries a checksum


@dataclass(frozen=True, slots=True)
class Cell:
    """One exchange failed in one way."""

    exchange: Exchange
    fault: str

    @property
    def id(self) -> str:
        """The exchange's id and the fault."""
        return f"{self.exchange.id} / {self.fault}"


@dataclass(frozen=True)
class Cells:
    """What is explored, and how many cells each rule left out, since another stands for them."""

    chosen: tuple[Cell, ...]
    merged: dict[str, int] = field(default_factory=dict)


def applicable(exchange: Exchange) -> tuple[str, ...]:
    """The ways to fail it; corrupt only where a checksum or a schema must catch it.

    A frame is refused by refusing its connection's handshake, which is a request of its own.
    """
    sealed = exchange.kind == "command" and exchange.fingerprint in SEALED
    return (*OF_KIND[exchange.kind], *(["corrupt"] if sealed else []))


def repeats(exchange: Exchange, fault: str, flow: _Flow) -> bool:
    """Of an exchange that occurs more than three times the first, the middle and the last stand for all.

    They are turns of one loop or agents side by side, whose order is not the same in every run.
    """
    count = flow.counts[exchange.edge, exchange.fingerprint]
    return count > 3 and exchange.nth not in (1, (count + 1) // 2, count)


def lasting(exchange: Exchange, fault: str, flow: _Flow) -> bool:
    """A refusal lasts until the end: refusing the first of a fingerprint refuses all that follow."""
    return fault == "refuse" and exchange.nth > 1


def harmless(exchange: Exchange, fault: str, flow: _Flow) -> bool:
    """Where an exchange changes nothing, losing it and losing its answer are the same to both sides."""
    return fault == "cut_before" and exchange.kind in ("statement", "command", "request") and exchange.reads


def batched(exchange: Exchange, fault: str, flow: _Flow) -> bool:
    """Commands sent together share their connection's fate: it is explored at the first of them."""
    return fault not in ("error", "corrupt") and exchange in flow.followers


def empty(exchange: Exchange, fault: str, flow: _Flow) -> bool:
    """What is not there cannot be corrupted: the first look for a session in the cache finds none."""
    return fault == "corrupt" and exchange in flow.missed


RULES: tuple[Callable[[Exchange, str, _Flow], bool], ...] = (repeats, lasting, harmless, batched, empty)


@dataclass(frozen=True)
class _Flow:
    counts: Counter[tuple[str, str]]
    followers: frozenset[Exchange]
    missed: frozenset[Exchange]


def cells(
    found: Sequence[Exchange], followers: frozenset[Exchange] = frozenset(), missed: frozenset[Exchange] = frozenset()
) -> Cells:
    """Every exchange in every way, less those for which another stands.

    `followers` are those that were sent together with one before them, on the same connection; `missed` are commands
    to which there was no value.
    """
    flow = _Flow(Counter((e.edge, e.fingerprint) for e in found), followers, missed)
    chosen, merged = [], Counter[str]()
    for exchange in found:
        for fault in applicable(exchange):
            rule = next((rule for rule in RULES if rule(exchange, fault, flow)), None)
            if rule is None:
                chosen.append(Cell(exchange, fault))
            else:
                merged[rule.__name__] += 1
    return Cells(tuple(chosen), dict(merged))
