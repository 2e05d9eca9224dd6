"""A peer that fell silent is given up in time, by clients and by workers."""

from netra_sim.checks.heartbeat import client_notices, server_notices
from netra_sim.kernel.history import History, Record
from tests.checks.story import Story, about, cannot_tell, convicts, inserted, passes, renamed, told, without

CLIENT, SERVER = client_notices(1.3), server_notices(1.3)
NORMAL, ABNORMAL, INTERNAL = 1000, 1006, 1011  # close codes: in order, none came, the server's error


def story(
    *, noticed: float | None = 0.9, dropped: float = 1.0, kept: int = 2, lease: float = 1.5, hits: int = 4,
    left: float | None = None, silent: bool = False, comes: bool = False,
) -> History:  # fmt: skip
    """Users 1 and 3 come in by the entrance that falls silent at 2 s, users 2 and 4 by the other one.

    The struck ones notice after `noticed` s, the workers after `dropped` s: `kept` sockets are left. User 4 may leave
    `left` s after the strike, a moment before the workers are looked at; user 6 `comes` right after that.
    """
    told = Story().seen("run", "entrances", of={f"user-{n}": "edge" if n % 2 else "edge-2" for n in range(1, 5)})
    for n in range(1, 5):
        told.login(f"user-{n}").connect(f"user-{n}")
    gauges(told, 4)
    fault = told._writer.fault(None, "black_hole", "planned", target="edge")
    told.at(2.0)._writer.fault(fault, "black_hole", "fired", target="edge")
    for after, tell in sorted(_later(noticed, dropped, kept, left, silent), key=lambda each: each[0]):
        if after < lease:
            tell(told.at(2.0 + after))
    if comes:
        told.at(3.31).login("user-6").at(3.32).connect("user-6")
    told.at(2.0 + lease)._writer.fault(fault, "black_hole", "healed", hits=hits)
    if noticed is not None and noticed >= lease:
        lost(told.at(2.0 + noticed))
    return told.at(6.0).seen("run", "load_ended").end()


def _later(noticed, dropped, kept, left, silent):
    if noticed is not None:
        yield noticed, lost
    yield dropped, lambda told: gauges(told, kept)
    if left is not None:
        yield left, lambda told: told.seen("user-4", "disconnected", connection="c-4", code=NORMAL)
    if silent:
        yield 1.1, lambda told: told.seen("observer", "gauges", worker="w-1", answers=False)


def lost(told: Story) -> None:
    for n in (1, 3):
        told.seen(f"user-{n}", "disconnected", connection=f"c-{n}", code=ABNORMAL)


def gauges(told: Story, sockets: int) -> None:
    told.seen("observer", "gauges", worker="w-1", sockets=sockets)


def at(seconds: float) -> int:
    return 1_000_000_000 + round(seconds * 1e9)


def also(history: History, kind: str, *phases: tuple[str, float]) -> History:
    """Another fault at the same entrance, planned as the run starts."""
    life = (("planned", 0.0), *phases)
    records = [Record(at(t), 1_000_000, "nemesis", kind, phase, {"target": "edge", "hits": 1}) for phase, t in life]
    return History(sorted([*history.records, *records], key=lambda r: r.t))


def test_both_sides_notice_in_time() -> None:
    assert passes(CLIENT, story()).observed == "2 of 2 clients noticed within 1.3 s; the slowest took 0.91 s."
    passes(SERVER, story())
    passes(CLIENT, story(noticed=1.29))  # the other one 0.01 s later, at the very limit
    passes(SERVER, story(dropped=1.3))
    passes(SERVER, story(lease=1.3))


def test_a_client_that_notices_only_when_the_fault_is_healed() -> None:
    convicts(CLIENT, story(noticed=1.55), "0 of 2 clients", "1.56 s")
    convicts(CLIENT, story(noticed=1.4), "0 of 2 clients")


def test_who_lost_another_entrance_or_left_is_not_judged() -> None:
    passes(CLIENT, story(left=1.45))
    cannot_tell(CLIENT, story(noticed=None, left=0.5), "No connection was lost")
    first = about("disconnected", actor="user-1")
    # He left by himself, was told, or came after the strike.
    for change in ({"code": NORMAL}, {"code": INTERNAL}, {"connection": "c-9"}):
        convicts(CLIENT, told(story(noticed=1.4), first, **change), "0 of 1 client ")
    assert passes(CLIENT, renamed(story(), first, t=at(2.0))).observed.startswith("1 of 1 client ")
    also_lost = inserted(story(), first, "user-2", "disconnected", "seen", connection="c-2", code=ABNORMAL)
    for other in ("a", "z"):
        elsewhere = told(also_lost, about("entrances"), of={"user-1": "edge", "user-2": other, "user-3": "edge"})
        assert passes(CLIENT, elsewhere).observed.startswith("2 of 2")


def test_only_what_is_lost_before_the_next_strike_or_the_loads_end_is_judged() -> None:
    for strike, judged in ((1.0, "2 of 2"), (2.905, "1 of 1"), (2.91, "1 of 1"), (2.92, "2 of 2")):
        for kind in ("bandwidth", "reset_peer"):
            both = also(story(), kind, ("fired", strike), ("healed", strike + 0.05))
            assert passes(CLIENT, both).observed.startswith(judged)
    cannot_tell(CLIENT, also(story(), "reset_peer"), "never struck", "2 of 2")
    unmarked = without(story(), about("load_ended"))
    assert passes(CLIENT, unmarked).observed.startswith("2 of 2")
    ended = inserted(unmarked, about("disconnected", actor="user-3"), "run", "load_ended", "seen")
    assert passes(CLIENT, ended).observed.startswith("1 of 1")
    marked = inserted(story(), about("disconnected"), "run", "load_ended", "seen")  # the last mark counts
    assert passes(CLIENT, marked).observed.startswith("2 of 2")


def test_the_time_and_the_slowest_are_told() -> None:
    evidence = convicts(CLIENT, story(noticed=1.4), "the slowest took 1.41 s").evidence
    assert [facts["seconds"] for facts in evidence] == [1.4, 1.41]
    (facts,) = convicts(SERVER, story(kept=4), "2 clients gave a connection up").evidence
    assert (facts["t"], facts["held"], facts["clients"]) == (3.3, 4, 2)


def test_a_worker_that_keeps_the_sockets_of_the_dead() -> None:
    convicts(SERVER, story(kept=4), "4 sockets of 4", "clients held 2")
    convicts(SERVER, story(kept=3), "3 sockets of 4")
    convicts(SERVER, story(dropped=1.4), "4 sockets of 4")


def test_a_count_that_is_out_of_date_by_a_moment_convicts_nobody() -> None:
    passes(SERVER, story(left=1.2))
    passes(SERVER, told(story(left=1.2), about("disconnected", actor="user-4"), code=INTERNAL))
    passes(SERVER, story(kept=1))
    passes(SERVER, story(silent=True))  # a worker that did not answer once is not one without sockets
    passes(SERVER, story(kept=3, comes=True))  # a worker knows of a client a moment before he does
    convicts(SERVER, story(left=0.5), "clients held 1")
    convicts(SERVER, story(left=1.15), "clients held 1")
    convicts(SERVER, story(kept=3, noticed=1.29), "clients held 2")  # but who broke off is no moment late
    newcomer = about("connect", "ok", connection_id="c-5")
    for comes, judge in ((3.45, passes), (3.451, convicts)):
        judge(SERVER, renamed(story(kept=3, comes=True), newcomer, t=at(comes)))
    convicts(SERVER, renamed(story(kept=3, comes=True), newcomer, phase="unknown"))


def test_nothing_to_judge() -> None:
    calm = Story().seen("run", "load_ended").end()
    for check in (CLIENT, SERVER):
        cannot_tell(check, calm, "No black_hole")
        cannot_tell(check, story(hits=0), "No black_hole")
    cannot_tell(SERVER, story(lease=1.2), "No black_hole lasted")
    cannot_tell(SERVER, story(noticed=None), "cost no connection")
    cannot_tell(SERVER, History(r for r in story().records if r.f != "gauges"), "were not read")
    passes(SERVER, also(story(), "black_hole", ("fired", 4.0), ("healed", 4.5)))  # too short to be judged
