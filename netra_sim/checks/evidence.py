"""How findings are told: offending ops as small dicts, and numbers as words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netra_sim.checks.verdict import Finding
from netra_sim.kernel.history import History, Op, Record

Facts = dict[str, Any]
_NOUNS = {
    "history": "history read",
    "signup": "sign-up",
    "refresh": "token refresh",
    "connect_refused": "connect with a bad token",
}
_TOLD = ("message_id", "run_id", "thread_id", "via", "token", "connection_id", "deadline_s", "code", "close_code")


def op_facts(history: History, op: Op, **more: Any) -> Facts:
    """An operation as evidence: who, what, when (s since start), how long (s, None while unknown)."""
    told = {**op.value, **op.result}
    took = None if op.seconds is None else round(op.seconds, 4)
    facts = {"t": at(history, op.start), "actor": op.actor, "f": op.f, "outcome": op.outcome, "seconds": took}
    return {**facts, **{key: told[key] for key in _TOLD if told.get(key) is not None}, **more}


def seen_facts(history: History, record: Record, *keys: str, **more: Any) -> Facts:
    """An observation as evidence, with those of its values that `keys` name."""
    told = {key: record.value[key] for key in keys if record.value.get(key) is not None}
    return {"t": at(history, record.t), "actor": record.actor, "f": record.f, **told, **more}


def notable(bad: Sequence[Facts], size: Callable[[Facts], float] | None = None) -> tuple[Facts, ...]:
    """The first, the worst (largest `size`) and the last of them by time, each once and marked as such."""
    if not bad:
        return ()
    if len(bad) == 1:
        return ({"which": "only", **bad[0]},)
    ordered = sorted(bad, key=lambda facts: float(facts["t"]))
    picked = [("first", ordered[0]), ("last", ordered[-1])]
    if size is not None:
        picked.insert(1, ("worst", max(ordered, key=size)))
    told: list[tuple[list[str], Facts]] = []
    for which, facts in picked:
        same = next((names for names, other in told if other is facts), None)
        if same is None:
            told.append(([which], facts))
        else:
            same.append(which)
    return tuple({"which": " and ".join(names), **facts} for names, facts in told)


def first_at(bad: Sequence[Facts]) -> str:
    """`first at 4.1 s`, the earliest of them."""
    return f"first at {seconds(min(float(facts['t']) for facts in bad))}"


def unknown(observed: str) -> Finding:
    """Nothing was judged, for this reason."""
    return Finding("unknown", observed)


def at(history: History, t: int) -> float:
    """A time as seconds since the run's start, to the tenth of a millisecond."""
    return round(history.seconds(t), 4)


def named(history: History, f: str | tuple[str, ...]) -> list[Op]:
    """The operations of one name, or of several."""
    return history.ops(*([f] if isinstance(f, str) else f))


def nouns(f: str | tuple[str, ...]) -> str:
    """`sends`, or `sends and history reads`."""
    names = [f] if isinstance(f, str) else f
    return " and ".join(f"{_NOUNS.get(name, name)}s" for name in names)


def counted(n: int, noun: str) -> str:
    """`1 run`, `1,204 runs`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def be(n: int) -> str:
    """`is` for one, `are` for any other number."""
    return "is" if n == 1 else "are"


def percent(part: int, whole: int) -> str:
    """A share without rounding up to a limit it did not reach: 99.97 is never told as 100."""
    return f"{int(part / whole * 10_000 + 1e-9) / 100:g} %"


def seconds(value: float) -> str:
    """`0.25 s`, `12.3 s`."""
    return f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"
