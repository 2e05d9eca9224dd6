"""Every figure: whole, legible, reproducible, described."""

import itertools
import re
from xml.etree import ElementTree as ET

import pytest

from netra_sim.kernel.history import History
from netra_sim.reports import figures, plots, svg
from netra_sim.reports.canvas import NARROW, WIDE, duration, text_width
from tests.unit.reports import sample

CROWDED = (
    ("kill", "postgres", 2.0, 4.0, 1),
    ("restart", "worker-1", 3.0, 5.0, 1),
    ("reset_peer", "users-edge-eu-west", 4.0, 4.2, 7),
    ("latency", "llm", 25.0, 29.5, 4),
    ("pause", "redis", 28.0, 29.9, 1),
    ("down", "edge", 20.0, 20.0, 0),
)


@pytest.fixture(scope="module")
def histories():
    return {
        "usual": sample.history(users=12),
        "bare": sample.history(protected=False, users=12),
        "crowded": sample.history(users=6, faults=CROWDED),
        "empty": History(()),
    }


DRAW = {
    "latency": plots.latency,
    "throughput": plots.throughput,
    "sequence": lambda h, w: plots.sequence(h, width=w),
    "compare": lambda h, w: plots.compare(h, h, "chat", "Without deadline", w),
}
CASES = list(itertools.product(DRAW, ("usual", "bare", "crowded", "empty"), (WIDE, NARROW)))


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


def test_compare_shares_its_axes(histories):
    figure = plots.compare(histories["usual"], histories["bare"], "send")
    above, below = figure.axes[-2:]
    assert above.get_xlim() == below.get_xlim() and above.get_ylim() == below.get_ylim()


def test_the_operation_that_the_control_hurt_most(histories):
    assert figures.hurt(histories["usual"], histories["bare"]) in {"send", "chat"}
    assert figures.hurt(histories["usual"], histories["usual"]) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0042, "4.2 ms"), (0.0421, "42 ms"), (1.5, "1.5 s"), (0.9999, "1 s"), (150, "2.5 min")]
)
def test_durations_read_like_speech(seconds, text):
    assert duration(seconds) == text


def test_a_large_run_stays_a_small_file():
    assert len(svg.render(plots.latency(sample.history(users=150)))) < 120_000
