"""From nothing running to the first answer, and that what the answer stands on is stored where it belongs."""

from __future__ import annotations

from netra_sim.checks.evidence import Facts, at, counted, notable, op_facts, seconds, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import audited, identities, stored
from netra_sim.kernel.history import History, Op

PATH = ("start", "signup", "login", "connect", "send", "chat")  # what a first answer takes, in this order


def answered_from_nothing(
    limit: float,
    goal: float,
    *,
    name: str = "answered_from_nothing",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """The first answer is there at most `limit` s after the history's start, at which nothing of the lab ran.

    What it took is told by its parts: services, backend, sign-up, login, socket, run. `goal` (s) is told, not judged.
    """

    def judge(history: History) -> Finding:
        if not history.ops("start"):
            return unknown("No service was started in this run, so this was no cold start.")
        answers = [op for op in history.ops("chat") if op.outcome == "ok" and op.end is not None]
        parts = _parts(history)
        if not answers:
            return Finding("fail", "No question was answered.", notable([op_facts(history, op) for op in parts]))
        first = min(answers, key=lambda op: op.end or 0)
        missing = [f for f in ("start", "connect") if not any(op.f == f and op.outcome == "ok" for op in parts)]
        if missing:
            return unknown(f"An answer came, but no {missing[0]} was seen.")
        took = history.seconds(first.end or 0)
        longest = max(parts, key=lambda op: op.seconds or 0)
        told = f"The first answer came {seconds(took)} after nothing was running (goal {seconds(goal)}); "
        told += f"the longest part was {_name(longest)} with {seconds(longest.seconds or 0)}."
        if took <= limit:
            return Finding("pass", told)
        slow = [op_facts(history, op, what=_name(op)) for op in parts]
        return Finding("fail", told, notable(slow, lambda facts: float(facts["seconds"] or 0)))

    expected = f"From nothing running to the first answer in at most {seconds(limit)}."
    return Check(name, expected, proves, judge, controls)


def stored_everywhere(
    *,
    name: str = "stored_everywhere",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """For each answered user Postgres has his message, his completed run and his events, and Redis the same stream."""
    expected = "Of every answered chat Postgres holds message, completed run and events, and Redis the same stream."
    return Check(name, expected, proves, _stored, controls)


def _parts(history: History) -> list[Op]:
    """The ops on the way to the first answer."""
    return [op for op in history.ops(*PATH) if op.end is not None]


def _name(op: Op) -> str:
    return f"start of {op.value['what']}" if op.f == "start" else op.f


def _stored(history: History) -> Finding:
    runs, streams = audited(history, "runs"), audited(history, "streams")
    if runs is None or streams is None:
        return unknown("The stores were not read.")
    answered = [op for op in history.ops("chat") if op.outcome == "ok"]
    if not answered:
        return unknown("No chat was answered, so nothing had to be stored.")
    status = {str(row["run_id"]): str(row["status"]) for row in runs.value["rows"]}
    cached = {str(row["user_id"]): int(row["last_seq"]) for row in streams.value["rows"]}
    who, held = identities(history), _last(history)
    bad: list[Facts] = []
    for op in answered:
        run, user = str(op.result.get("run_id")), who.get(op.actor, "")
        for problem in _problems(status.get(run), held.get(user, 0), cached.get(user, 0)):
            bad.append(op_facts(history, op, problem=problem))
    if bad:
        return Finding("fail", f"{counted(len(bad), 'thing')} not stored: {bad[0]['problem']}.", notable(bad))
    told = (
        f"{counted(len(answered), 'answered chat')} of {counted(len(held), 'user')} found whole in Postgres and Redis"
    )
    return Finding("pass", f"{told}, read at {seconds(at(history, streams.t))}.")


def _last(history: History) -> dict[str, int]:
    """The last seq that Postgres holds for each user."""
    return {user: max(map(int, record.value["seqs"]), default=0) for user, record in stored(history).items()}


def _problems(status: str | None, held: int, cached: int) -> list[str]:
    """What is wrong with an answered run, in words."""
    problems = []
    if status != "completed":
        problems.append(f"the run is {status} in Postgres" if status else "Postgres has no such run")
    if not held:
        problems.append("Postgres has no event of the user")
    if cached != held:
        problems.append(f"Redis holds the stream up to {cached}, Postgres up to {held}")
    return problems
