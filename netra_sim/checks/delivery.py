"""Each user's durable stream: every event to each client once, in order, and nothing that the store does not hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from netra_sim.checks.evidence import Facts, at, counted, first_at, notable, seconds, seen_facts, unknown
from netra_sim.checks.verdict import Check, Finding
from netra_sim.checks.views import identities, stored, wall_to_run
from netra_sim.kernel.history import History, Record

_KINDS = {
    "skipped": "skipped",
    "repeated": "sent again",
    "reordered": "out of order",
    "undelivered": "stored but never delivered",
    "unstored": "shown but not in the store",
    "misnumbered": "misnumbered in the store",
}


def exactly_once_in_order(
    grace_s: float = 1.0,
    *,
    name: str = "exactly_once_in_order",
    proves: tuple[str, ...] = (),
    controls: tuple[str, ...] = (),
) -> Check:
    """Every client sees each durable event after its resume point exactly once and in order.

    A connection's resume point is the highest seq its client had seen when it was made (for the first one, the
    welcome's last_seq): from there on its frames must count up by one. A client that was connected at its end has seen
    all that was stored up to `grace_s` seconds before; and nobody saw what the store, itself gapless, does not hold.
    """
    expected = (
        "After its resume point each client receives every stored event exactly once and in order: none skipped, "
        f"none repeated, none lost that was stored {seconds(grace_s)} before the client left."
    )
    return Check(name, expected, proves, lambda history: _judge(history, grace_s), controls)


@dataclass
class Client:
    """What one user's client has seen, fed with his connects and frames in the order of the history."""

    first: int | None = None
    position: int = 0
    user: str = ""
    connected: bool = False
    last: int = 0
    wanted: dict[str, int] = field(default_factory=dict)
    seen: dict[int, Record] = field(default_factory=dict)

    def connect(self, connection: str, last_seq: int) -> None:
        """A connection stands; a client that has seen nothing yet begins at the welcome's last_seq."""
        self.connected = True
        if self.first is None:
            self.first = self.position = last_seq
        self.wanted.setdefault(connection, self.position + 1)

    def frame(self, record: Record) -> tuple[str, int] | None:
        """Take a durable frame; what is wrong with it, and how many events that concerns."""
        seq, connection = int(record.value["seq"]), str(record.value.get("connection"))
        if self.first is None:
            self.first = self.position = seq - 1
        wanted = self.wanted.setdefault(connection, self.position + 1)
        known = seq in self.seen
        self.seen.setdefault(seq, record)
        self.position = max(self.position, seq)
        self.wanted[connection] = max(wanted, seq + 1)
        if seq == wanted:
            return None
        if seq > wanted:
            return "skipped", seq - wanted
        return ("repeated" if known or seq <= self.first else "reordered"), 1


def offences(history: History, grace_s: float = 1.0) -> list[Facts]:
    """What went wrong with durable events: each fact has its `problem` and of how many `events` it is true."""
    return _offences(history, *_replay(history), grace_s)[1]


def _judge(history: History, grace_s: float) -> Finding:
    clients, wrong = _replay(history)
    read, bad = _offences(history, clients, wrong, grace_s)
    frames = sum(len(client.seen) for client in clients.values())
    if bad:
        return Finding("fail", _told(bad, frames), notable(bad, lambda facts: float(facts["events"])))
    if not frames:
        return unknown("No durable event reached any user.")
    unread = [actor for actor, client in clients.items() if client.user not in read]
    if unread:
        return unknown(f"{counted(frames, 'event')} arrived in order, but the store was not read for {unread[0]}.")
    users = counted(len(clients), "user")
    return Finding("pass", f"{counted(frames, 'event')} reached {users} exactly once and in order; none is missing.")


def _offences(
    history: History, clients: dict[str, Client], wrong: list[Facts], grace_s: float
) -> tuple[dict[str, Record], list[Facts]]:
    """The store's readings by user, and all that is wrong: what `wrong` tells of the way, and what the store tells."""
    read = stored(history, (client.user for client in clients.values()))
    bad = list(wrong)
    for actor, client in clients.items():
        if client.user in read:
            bad += _unstored(history, client, read[client.user])
            bad += _undelivered(history, actor, client, read[client.user], grace_s)
    return read, bad + [facts for record in read.values() for facts in _misnumbered(history, record)]


def _replay(history: History) -> tuple[dict[str, Client], list[Facts]]:
    clients: dict[str, Client] = {}
    bad: list[Facts] = []
    who = identities(history)
    for r in history.records:
        if r.f == "connect":
            client = clients.setdefault(r.actor, Client(user=who.get(r.actor, "")))
            client.connected = False
            if r.phase == "ok":
                client.user = client.user or str(r.value.get("user_id"))
                client.connect(str(r.value.get("connection_id")), int(r.value.get("last_seq") or 0))
        elif r.f == "frame" and r.value.get("seq") is not None:
            client = clients.setdefault(r.actor, Client(user=who.get(r.actor, str(r.value.get("user_id")))))
            wrong = client.frame(r)
            if wrong:
                bad.append(_frame_facts(history, r, *wrong))
        if r.actor in clients and r.f != "logout":  # who signs out has closed his socket before
            clients[r.actor].last = r.t
    return {actor: client for actor, client in clients.items() if client.first is not None}, bad


def _unstored(history: History, client: Client, record: Record) -> list[Facts]:
    held = {int(seq) for seq in record.value.get("seqs", ())}
    shown = [r for seq, r in client.seen.items() if seq not in held and r.t <= record.t]
    return [_frame_facts(history, r, "unstored", 1) for r in shown]


def _undelivered(history: History, actor: str, client: Client, record: Record, grace_s: float) -> list[Facts]:
    """What came into the store after the last event that this client saw, in good time before it left."""
    if not client.connected:
        return []
    until = history.seconds(client.last) - grace_s
    times = {int(row[0]): wall_to_run(history, row[-1]) for row in record.value.get("of", ())}
    lost = sorted(seq for seq, t in times.items() if seq > client.position and t <= until)
    if not lost:
        return []
    facts = {"actor": actor, "user": client.user, "seq": lost[0], "until": lost[-1]}
    return [{"t": round(times[lost[0]], 4), **facts, "problem": "undelivered", "events": len(lost)}]


def _misnumbered(history: History, record: Record) -> list[Facts]:
    """A user's stored stream counts from 1, by one, up to his counter (where the auditor read that)."""
    seqs = [0, *sorted(int(seq) for seq in record.value.get("seqs", ()))]
    wrong = [after for before, after in pairwise(seqs) if after != before + 1]
    counter = record.value.get("last_seq", seqs[-1])
    wrong += [counter] if counter != seqs[-1] else []
    facts = {"user": str(record.value["user_id"]), "problem": "misnumbered", "events": len(wrong)}
    return [{"t": at(history, record.t), "seq": wrong[0], **facts}] if wrong else []


def _frame_facts(history: History, record: Record, problem: str, events: int) -> Facts:
    return seen_facts(history, record, "connection", "seq", "type", "run_id", problem=problem, events=events)


def _told(bad: list[Facts], frames: int) -> str:
    sums: dict[str, int] = {}
    for facts in bad:
        sums[facts["problem"]] = sums.get(facts["problem"], 0) + int(facts["events"])
    parts = [f"{sums[kind]:,} {words}" for kind, words in _KINDS.items() if kind in sums]
    return f"Of {counted(frames, 'event')} seen by users: {', '.join(parts)}; {first_at(bad)}."
