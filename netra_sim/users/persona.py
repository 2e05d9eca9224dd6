"""Who a simulated user is and what he intends to do: a function of the seed and his number. No I/O."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.rng import Rng

Via = Literal["header", "subprotocol"]
BadToken = Literal["none", "tampered"]
Data = Literal["full", "partial", "none"]
SHORTEST, LONGEST = 3, 10_000  # characters that triage takes

_QUESTIONS = (
    "How much would we save if the summarization jobs ran on a smaller model?",
    "Which of our AI workloads costs the most for each answered question?",
    "Why did the LLM bill of the retrieval pipeline go up last month?",
    "Can we lower the latency of the support assistant without paying more?",
    "What share of our tokens is spent on retries and on repeated system prompts?",
    "Would reserved capacity be cheaper than paying for each call at our volume?",
    "Where should we cache answers, and what would that do to quality?",
    "Which prompts are longer than they need to be, and what do they cost?",
)
_DETAILS = (
    "The batch runs at night and may take until the morning.",
    "Quality must stay where it is for the legal team.",
    "We call the large model for every step of the agent.",
    "Traffic doubles in the last week of each quarter.",
    "Most prompts repeat the same instructions and examples.",
    "The budget is fixed until the end of the year.",
    "Users start to leave when an answer takes more than ten seconds.",
    "Please compare at least two options and give the figures.",
)


@dataclass(frozen=True, slots=True)
class Account:
    """An account: how much `data` it has, and a `canary` that only its own data contains."""

    number: int
    email: str
    password: str
    canary: str
    data: Data

    @property
    def name(self) -> str:
        """The actor of his ops: `user-<number>`."""
        return f"user-{self.number}"


@dataclass(frozen=True, slots=True)
class Profile:
    """What kind of users: chances are 0 to 1, times are seconds before `time_scale`, lengths are characters."""

    messages: tuple[int, int] = (1, 3)
    think_s: float = 4.0
    threads: int = 1
    data: tuple[float, float, float] = (0.5, 0.3, 0.2)  # shares of accounts with full, partial and no data
    longest: int = 4_000  # the free tier takes 8 KiB
    subprotocol: float = 0.5
    drop: float = 0.15
    drop_within_s: float = 3.0
    history: float = 0.4
    signup: float = 0.05
    brings_log: bool = False  # who signs up brings a workload log
    probe: float = 0.1
    logout: float = 0.2
    waits: bool = True  # for an answer, before thinking of the next question
    burst: float = 0.0  # chance that the next question follows at once
    abandon: float = 0.0  # chance that a user leaves for good before an answer
    abandon_within_s: float = 2.0

    def __post_init__(self) -> None:
        """BadValue names the first field that is wrong."""
        least, most = self.messages
        if not 0 <= least <= most:
            raise BadValue(field="messages", value=self.messages, allowed="a least and a most number, 0 or more")
        if not 100 <= self.longest <= LONGEST:
            raise BadValue(field="longest", value=self.longest, allowed=f"100 to {LONGEST:,} characters")
        if self.threads < 1:
            raise BadValue(field="threads", value=self.threads, allowed="1 or more")
        for name in ("subprotocol", "drop", "history", "signup", "probe", "logout", "burst", "abandon"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadValue(field=name, value=getattr(self, name), allowed="a chance from 0 to 1")


@dataclass(frozen=True, slots=True)
class Say:
    """Send a message after thinking; `drop_after_s` seconds later the connection breaks, unless None.

    After one of a `burst` the next follows at once. `abandon_after_s` seconds after it was accepted, if that is not
    None, the user leaves.
    """

    think_s: float
    message_id: str
    thread_id: str
    text: str
    drop_after_s: float | None = None
    burst: bool = False
    abandon_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class ReadHistory:
    """Read a thread over HTTP after thinking."""

    think_s: float
    thread_id: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Try to connect with a token that must be refused."""

    via: Via
    token: BadToken


Intent = Say | ReadHistory
PROBES = tuple(Probe(via, token) for via in ("header", "subprotocol") for token in ("none", "tampered"))


@dataclass(frozen=True, slots=True)
class Persona:
    """One user's whole plan."""

    account: Account
    via: Via
    signs_up: bool
    logs_out: bool
    waits: bool
    probes: tuple[Probe, ...]
    intents: tuple[Intent, ...]


def account(rng: Rng, number: int, profile: Profile) -> Account:
    """The account of user `number`; all share one password, since hashing one for each is dear."""
    own = rng.child("user", number).stream("account")
    kinds: Sequence[Data] = ("full", "partial", "none")
    (data,) = own.choices(kinds, profile.data)
    secret = rng.stream("password").getrandbits(64)
    email = f"user-{number}-{own.getrandbits(32):08x}@example.test"
    return Account(number, email, f"Pass-{secret:016x}", f"canary-{own.getrandbits(32):08x}", data)


def persona(rng: Rng, number: int, profile: Profile, visit: int = 0) -> Persona:
    """The plan of user `number`; other users and their number do not change it.

    Each further `visit` of the same account has a plan of its own, and signs up no more.
    """
    own = rng.child("user", number)
    own = own.child("visit", visit) if visit else own
    who, traits = account(rng, number, profile), own.stream("traits")
    signs_up = traits.random() < profile.signup and not visit
    if signs_up and not profile.brings_log:
        who = replace(who, data="none")
    return Persona(
        account=who,
        via="subprotocol" if traits.random() < profile.subprotocol else "header",
        signs_up=signs_up,
        logs_out=traits.random() < profile.logout,
        waits=profile.waits,
        probes=PROBES if traits.random() < profile.probe else (),
        intents=_intents(own, who, profile),
    )


def _intents(own: Rng, who: Account, profile: Profile) -> tuple[Intent, ...]:
    names = own.stream("threads")
    threads = [_uuid(names) for _ in range(profile.threads)]
    intents: list[Intent] = []
    for number in range(own.stream("count").randint(*profile.messages)):
        stream = own.stream("message", number)
        said = _say(stream, who, profile, stream.choice(threads))
        intents.append(said)
        if said.abandon_after_s is not None:
            break
        if stream.random() < profile.history:
            intents.append(ReadHistory(_think(stream, profile.think_s / 2), said.thread_id))
    return tuple(intents)


def _say(stream: Random, who: Account, profile: Profile, thread_id: str) -> Say:
    drop = stream.uniform(0, profile.drop_within_s) if stream.random() < profile.drop else None
    think, id_, text = _think(stream, profile.think_s), _uuid(stream), question(stream, who, profile.longest)
    leaves = stream.uniform(0, profile.abandon_within_s) if stream.random() < profile.abandon else None
    return Say(think, id_, thread_id, text, drop, stream.random() < profile.burst, leaves)


def question(stream: Random, who: Account, longest: int) -> str:
    """A question of at most `longest` characters; it begins with the tag that tells how much data there is."""
    words = f"[data:{who.data}] In workspace {who.canary}: {stream.choice(_QUESTIONS)}"
    wanted = min(longest, round(math.exp(stream.gauss(math.log(250), 0.9))))
    while len(words) < wanted:
        words = f"{words} {stream.choice(_DETAILS)}"
    return words[:longest]


def _think(stream: Random, median_s: float) -> float:
    """A lognormal think time, at most ten times its median."""
    return min(10 * median_s, median_s * math.exp(stream.gauss(0, 0.6)))


def _uuid(stream: Random) -> str:
    return str(uuid.UUID(int=stream.getrandbits(128), version=4))
