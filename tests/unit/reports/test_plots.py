"""Every figure: whole, legible, reproducible, described."""

import itertools
import re
from xml.etree import ElementTree as ET

import pytest

from netra_sim.kernel.errors import BadValue
from netra_sim.kernel.history import History
from netra_sim.kernel.rng import Rng
from netra_sim.reports import figures, plots, svg
from netra_sim.reports.canvas import NARROW, WIDE, Layout, build, duration, fit, fold, text_width
from netra_sim.reports.crowd import users
from netra_sim.reports.frames import Span
from netra_sim.reports.pairs import pair
from netra_sim.reports.quantiles import quantiles
from netra_sim.reports.result import Control, Result
from netra_sim.reports.states import states
from netra_sim.reports.waterfall import waterfall
from tests.unit.reports import sample, sample_history

CROWDED = (
    ("kill", "postgres", 2.0, 4.0, 1),
    ("restart", "worker-1", 3.0, 5.0, 1),
    ("reset_peer", "users-edge-eu-west", 4.0, 4.2, 7),
    ("latency", "llm", 25.0, 29.5, 4),
    ("pause", "redis", 28.0, 29.9, 1),
    ("down", "edge", 20.0, 20.0, 0),
)
EIGHT = (
    ("read_only", "redis", 2.0, 3.0, 1),
    ("out_of_memory", "redis", 3.0, 4.0, 1),
    ("kill", "clickhouse", 4.0, 6.0, 1),
    ("partition", "edge", 5.0, 7.0, 4),
    ("script", "llm", 7.0, 9.0, 4),
    ("black_hole", "edge-2", 8.0, 9.0, 4),
    ("bandwidth", "the-proxy-before-the-second-entrance-of-the-users-in-another-country-far-away", 9.0, 9.0, 4),
    ("limit_data", "postgres", 28.0, 30.0, 1),
)
FLAPPING = tuple(("reset_peer", "edge", float(at), at + 0.1, 1) for at in range(1, 30))


def _failing():
    """Nothing succeeds, and names are long."""
    tape = sample_history.Tape()
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    tape.op(0.1, None, "lab", "start", "unknown", {"what": "a-service-with-a-name-that-nobody-would-want-to-read"}, {})
    for n in range(20):
        tape.op(1.0 + n, 0.01, f"user-{n}", "chat", "fail", {"deadline_s": 2.0}, {"code": "away"})
        tape.op(1.5 + n, None, f"user-{n}", "send", "unknown", {}, {})
        tape.op(
            1.7 + n,
            0.1,
            f"user-{n}",
            "an_operation_of_which_the_name_is_longer_than_any_figure_is_wide" * 2,
            "ok",
            {},
            {},
        )
    return tape.history()


@pytest.fixture(scope="module")
def histories():
    return {
        "usual": sample_history.history(users=12, gauges=True, cold=True),
        "bare": sample_history.history(protected=False, users=12),
        "crowded": sample_history.history(users=6, faults=CROWDED, gauges=True),
        "eight": sample_history.history(users=6, faults=EIGHT, gauges=True, cold=True),
        "flapping": sample_history.history(users=6, faults=FLAPPING),
        "calm": sample_history.history(users=6, faults=(), gauges=True, cold=True),
        "failing": _failing(),
        "empty": History(()),
    }


DRAW = {
    "latency": plots.latency,
    "throughput": plots.throughput,
    "sequence": lambda h, w: plots.sequence(h, width=w),
    "compare": lambda h, w: plots.compare(pair(h, h), "chat", ("With the protection", "Without deadline"), w),
    "quantiles": lambda h, w: quantiles(h, {"chat": 1.5}, width=w),
    "states": states,
    "waterfall": lambda h, w: waterfall(h, 3.0, 0.5, w),
    "users": lambda h, w: users([("12 users, seed 7", h), ("the same again", h)], limit=1.5, width=w),
}
WHICH = ("usual", "bare", "crowded", "eight", "flapping", "calm", "failing", "empty")
CASES = list(itertools.product(DRAW, WHICH, (WIDE, NARROW)))


def texts(drawing):
    """Every text of an SVG with its box (left, top, right, bottom) in the SVG's units, as DejaVu Sans would set it."""
    found = []
    for element in ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text"):
        size = float(re.search(r"([\d.]+)px", element.get("style"))[1])
        wide = text_width(element.text, size) * 72
        moved = re.findall(r"[-\d.]+", element.get("transform", ""))
        x, y = (float(at) for at in (moved or (element.get("x"), element.get("y"))))
        left = x - {"middle": wide / 2, "end": wide}.get(anchor(element), 0.0)
        found.append((element.text, (left, y - size * 0.75, left + wide, y + size * 0.1)))
    return found


def anchor(element):
    match = re.search(r"text-anchor: (\w+)", element.get("style"))
    return match[1] if match else "start"


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize(("name", "which", "width"), CASES)
def test_nothing_is_cut_off_or_lies_on_another(histories, name, which, width):
    drawing = svg.render(DRAW[name](histories[which], width))
    right, bottom = map(float, ET.fromstring(drawing).get("viewBox").split()[2:])
    found = texts(drawing)
    assert found
    for text, box in found:
        assert box[0] >= -1 and box[1] >= -1 and box[2] <= right + 1 and box[3] <= bottom + 1, (text, box)
    assert not [(a[0], b[0]) for a, b in itertools.combinations(found, 2) if overlap(a[1], b[1])]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_every_fault_is_named(histories, width):
    told = " / ".join(text for text, _ in texts(svg.render(plots.latency(histories["crowded"], width))))
    assert "Postgres killed" in told and "users' edge down (never fired)" in told
    assert "users-edge-eu-west connections reset" in told


@pytest.mark.parametrize("name", DRAW)
def test_an_svg_is_reproducible_and_needs_nothing_from_outside(histories, name):
    first, second = (svg.render(DRAW[name](histories["usual"], WIDE)) for _ in range(2))
    assert first == second
    root = ET.fromstring(first)
    assert root.get("role") == "img" and len(root.get("aria-label")) > 60
    outside = re.findall(r"https?://[^\"' )]+", first)
    assert set(outside) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"<metadata|<!DOCTYPE|<script|<style", first)


def test_ids_of_two_figures_on_a_page_differ(histories):
    ids = [
        set(re.findall(r'\bid="([^"]+)"', svg.render(plots.latency(histories["usual"]), prefix)))
        for prefix in ("a", "b")
    ]  # fmt: skip
    assert ids[0] and not ids[0] & ids[1]


def test_inline_takes_the_pages_colours(histories):
    text = svg.inline(svg.render(plots.throughput(histories["usual"])))
    assert f"var(--fig-ink,{svg.INK})" in text and f"var(--fig-paper,{svg.PAPER})" in text
    assert not re.search(f"(fill|stroke): {svg.INK}", text)


def test_the_alternative_text_tells_the_story(histories):
    alt = plots.figure_alt(plots.latency(histories["bare"]))
    assert re.search(r"\d+ ok, \d+ failed, \d+ no answer", alt)
    assert "Postgres killed from 9.2 to 13.2 s" in alt
    assert "users' edge down never fired" in plots.figure_alt(plots.throughput(histories["crowded"]))
    assert "No run's events" in plots.figure_alt(plots.sequence(histories["empty"]))
    assert "Without deadline" in plots.figure_alt(DRAW["compare"](histories["usual"], WIDE))


def test_axes_name_their_units(histories):
    for name, unit in (("latency", "seconds"), ("throughput", "seconds"), ("sequence", "milliseconds")):
        assert unit in DRAW[name](histories["usual"], WIDE).axes[-1].get_xlabel()
    formatter = plots.latency(histories["usual"]).axes[-1].yaxis.get_major_formatter()
    assert formatter(0.01, 0) == "10 ms"


@pytest.mark.parametrize(("width", "beside"), [(WIDE, True), (NARROW, False)])
def test_a_pair_shares_its_axes_and_stands_side_by_side_where_there_is_room(histories, width, beside):
    figure = plots.compare(pair(histories["usual"], histories["bare"]), "send", width=width)
    first, second = [ax for ax in figure.axes if ax.get_yscale() == "log"]
    assert first.get_xlim() == second.get_xlim() and first.get_ylim() == second.get_ylim()
    (left, low), (right, high) = (ax.get_position().min for ax in (first, second))
    assert bool(low == high) is beside and bool(left == right) is not beside


def test_each_part_of_a_pair_has_the_faults_of_its_own_run(histories):
    figure = plots.compare(pair(histories["usual"], histories["eight"]), "chat")
    drawn = svg.render(figure)
    told = [text for text, _ in texts(drawn)]
    assert told.count("Postgres killed") == 1 and told.count("ClickHouse killed") == 1
    alt = plots.figure_alt(figure)
    assert "Postgres killed from 8.0 to 12.0 s" in alt  # since the load began, which the two histories share
    assert alt.index("Postgres killed") < alt.index("Without the protection:") < alt.index("ClickHouse killed")


def test_outcomes_of_a_pair_have_shapes_of_their_own(histories):
    figure = plots.compare(pair(histories["usual"], histories["bare"]), "send")
    shapes = {line.get_marker() for ax in figure.axes for line in ax.lines if len(line.get_xdata())}
    assert {"o", "X", "D"} <= shapes


def test_the_operation_that_the_control_hurt_most(histories):
    assert figures.hurt(pair(histories["usual"], histories["bare"])) in {"send", "chat"}
    same = pair(histories["usual"], histories["usual"])
    assert figures.hurt(same) is None and figures.main(same) == "chat"


def test_a_control_that_hurt_nobody_has_a_picture_that_says_so(histories, tmp_path):
    same = pair(histories["usual"], histories["usual"])
    drawn = figures.draw_control(same, Control(sample.control("x", "why", []), tmp_path))
    assert drawn.name == "compare-x" and figures.UNHURT in drawn.caption
    nothing = pair(histories["empty"], histories["usual"])
    assert figures.draw_control(nothing, Control(sample.control("x", "why", []), tmp_path)) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0042, "4.2 ms"), (0.0421, "42 ms"), (1.5, "1.5 s"), (0.9999, "1 s"), (150, "2.5 min")]
)
def test_durations_read_like_speech(seconds, text):
    assert duration(seconds) == text


def test_a_large_run_stays_a_small_file():
    assert len(svg.render(plots.latency(sample_history.history(users=150)))) < 120_000


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_faults_of_one_name_share_a_row_and_are_counted(histories, width):
    told = [text for text, _ in texts(svg.render(plots.latency(histories["flapping"], width)))]
    assert [text for text in told if "users' edge" in text] == ["users' edge connections reset (29 times)"]
    assert "connections reset 29 times from 2.2 to" in plots.figure_alt(plots.latency(histories["flapping"]))


def test_each_of_eight_faults_is_named_where_it_fits(histories):
    told = " / ".join(text for text, _ in texts(svg.render(plots.latency(histories["eight"], NARROW))))
    for name in (
        "Redis read-only",
        "Redis out of memory",
        "ClickHouse killed",
        "users' edge partitioned",
        "LLM misbehaves",
    ):
        assert name in told
    assert "the-proxy-before" in told and "far-away throttled" not in told and "…" in told


def test_a_text_is_cut_to_its_room_and_folded_at_words():
    assert fit("short", 2.0) == "short"
    cut = fit("a name that is much too long for that", 1.0, " (2 times)")
    assert cut.endswith("… (2 times)") and text_width(cut) <= 1.0
    lines = fold("one two three four five six seven eight nine ten\nand a line of its own", 1.0)
    assert " ".join(lines) == "one two three four five six seven eight nine ten and a line of its own"
    assert len(lines) > 3 and all(text_width(line) <= 1.0 for line in lines)


def test_quantiles_name_no_percentile_of_few_samples(histories):
    alt = plots.figure_alt(quantiles(histories["bare"], {"chat": 1.5}))
    assert re.search(r"Chat: \d+ samples, median .+, slowest .+; \d+ over 3 s", alt)
    assert "p95" not in alt and "p99" not in alt


def test_quantiles_tell_what_is_no_sample(histories):
    alt = plots.figure_alt(quantiles(histories["failing"]))
    assert "Chat: no sample. Apart: 20 failed." in alt
    assert "Send: 20 samples, median at least 9.8 s" in alt and "20 without an answer" in alt


def test_states_tell_breakers_level_and_pool(histories):
    alt = plots.figure_alt(states(histories["usual"]))
    assert "Breakers closed throughout: 2nd LLM, tool." in alt
    assert re.search(r"Postgres of worker 1: open for 4\.\d s, half open for 0\.5 s", alt)
    assert re.search(r"level of worker 2: .*silent for \d\.\d s", alt)
    assert "pools at most 20 large" in alt and "Postgres killed from 9.2" in alt
    assert "Breakers closed throughout: Postgres, Redis, LLM, 2nd LLM, tool." in plots.figure_alt(
        states(histories["calm"])
    )
    assert "No states of the platform" in plots.figure_alt(states(histories["bare"]))


def test_the_waterfall_tells_total_limit_and_goal(histories):
    alt = plots.figure_alt(waterfall(histories["usual"], 3.0, 0.5))
    assert re.search(r"first answer came after [\d.]+ s, goal 500 ms, limit 3 s", alt)
    assert all(part in alt for part in ("Postgres 0.01", "login", "connect", "chat", "triage"))
    told = " / ".join(text for text, _ in texts(svg.render(waterfall(histories["usual"], 300.0, 0.5))))
    assert "Beyond the right edge: limit 5 min." in told


def test_a_start_that_never_ended_has_no_answer(histories):
    alt = plots.figure_alt(waterfall(histories["failing"], 3.0, 0.5))
    assert "no question was answered" in alt


def test_users_tells_each_run_and_takes_five(histories):
    alt = plots.figure_alt(DRAW["users"](histories["usual"], WIDE))
    assert re.search(r"12 users, seed 7: \d+ samples, median", alt) and "the same again: " in alt
    with pytest.raises(BadValue, match="at most 5"):
        users([("one", histories["usual"])] * 6)


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("usual", ["waterfall", "latency", "throughput", "quantiles", "states", "users", "sequence"]),
        ("bare", ["latency", "throughput", "quantiles", "users", "sequence"]),
        ("empty", ["latency", "throughput"]),
    ],
)
def test_what_was_not_recorded_has_no_figure(histories, tmp_path, which, expected):
    histories[which].save(tmp_path / "history.jsonl")
    drawn = figures.draw(Result(sample.result(), tmp_path))
    assert [each.name for each in drawn] == expected
    ids = [set(re.findall(r'\bid="([^"]+)"', each.svg)) for each in drawn]
    assert sum(map(len, ids)) == len(set().union(*ids)), "two figures of a page share an id"
    assert all(each.caption and each.alt for each in drawn)


@pytest.mark.parametrize("name", ["latency", "quantiles", "users"])
def test_a_thousand_users_stay_a_small_file(name):
    tape, rng = sample_history.Tape(), Rng(7, ("dense",)).stream("load")
    tape.put(0.0, "run", "start", "seen", {"wall": 1.0})
    for n in range(12_000):
        f, outcome = rng.choice(["chat", "send", "connect", "history"]), rng.choice(["ok", "ok", "fail", "unknown"])
        tape.op(rng.uniform(0, 60), rng.lognormvariate(0, 1.5), f"user-{n % 1000}", f, outcome, {"deadline_s": 9.0}, {})
    assert len(svg.render(DRAW[name](tape.history(), WIDE))) < 300_000


def test_a_fault_that_lasts_throughout_is_named_but_shades_nothing():
    short, whole = Span("cut", 2.0, 3.0), Span("slow", 0.0, 9.8)
    for spans, shaded in (((short, whole), 1), ((whole,), 0), ((short,), 1)):
        figure, (panel,) = build(Layout(WIDE, "", (1.0,), (0.0, 10.0), spans))
        assert len(panel.patches) == shaded
        named = {text.get_text() for ax in figure.axes for text in ax.texts}
        assert {span.name for span in spans} <= named
