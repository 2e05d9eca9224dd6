"""The report as a folder: complete, offline, accessible; results.json and junit.xml beside it."""

import itertools
import json
import re
import tomllib
from html.parser import HTMLParser
from importlib import resources
from xml.etree import ElementTree as ET

import pytest

from netra_sim.reports import junit, runs, site
from tests.unit.reports import sample

VOID = {"meta", "img", "br", "input", "hr", "link"}
ALL = "all.html"
VARIANT = "users=80,seed=8"
VARIANT_PAGE = "chaos-database-lost--users=80,seed=8.html"


FIGURES = [
    {
        "name": "proxy overhead", "value": 1.0823, "unit": "×", "goal": "at most 1.1", "holds": True,
        "against": "a direct connection", "samples": [1.05, 1.08, 1.12],
    },
    {
        "name": "cold start", "value": 4.2, "unit": "s", "goal": "at most 3 s", "holds": False,
        "against": "the limit", "samples": 12,
    },
]  # fmt: skip


class Page(HTMLParser):
    """What the tests ask of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.ids, self.wrong = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [dict(attrs)["id"]] if "id" in dict(attrs) else []

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("site")
    stored = root / "runs"
    sample.write_run(stored, sample.result(verdict="unknown"), time="20261120T000000Z", notebook=False, users=3)
    sample.write_run(stored, sample.result(), users=8)
    sample.write_run(stored, sample.failing(), users=3, notebook=False)
    sample.write_run(stored, sample.unknown(), users=3, notebook=False)
    sample.write_run(stored, sample.result(variant=VARIANT, seed=8), users=2, notebook=False)
    aborted = stored / "golden" / "chat" / "20261121T090000.123Z-seed3"
    aborted.mkdir(parents=True)
    (aborted / "papermill.log").write_text("DeadKernelError: Kernel died <1>")
    catalogue = tomllib.loads((resources.files("netra_sim.scenarios") / "requirements.toml").read_text())
    (root / "reports").mkdir()
    (root / "reports" / "bench.json").write_text(json.dumps({"schema": 1, "figures": FIGURES}))
    site.single_file(stored, root / "reports", catalogue, root / "reports" / "all.html")
    return root / "reports"


def pages(folder):
    return {path.name: path.read_text() for path in sorted(folder.glob("*.html"))}


def test_a_page_for_every_scenario_and_nothing_else(built):
    assert sorted(path.name for path in built.iterdir()) == [
        "all.html", "bench.json", "chaos-cache-stampede.html", VARIANT_PAGE, "chaos-database-lost.html",
        "golden-chat.html", "index.html", "junit.xml", "platform-slow-cache.html", "results.json",
    ]  # fmt: skip


def test_pages_need_no_script_and_no_network(built):
    for name, text in pages(built).items():
        page = Page(text)
        assert not page.all("script") and not page.all("link") and not page.all("iframe"), name
        assert "@import" not in text and "url(http" not in text
        for _, attrs in page.tags:
            for key in ("src", "href", "xlink:href", "srcset"):
                assert re.match(r"(#|data:|[\w.=,+-]+\.html|$)", attrs.get(key) or ""), (name, attrs)


def test_pages_are_well_formed_and_their_links_lead_somewhere(built):
    found = {name: Page(text) for name, text in pages(built).items()}
    for name, page in found.items():
        assert not page.wrong and not page.open, name
        assert len(page.ids) == len(set(page.ids)), name
        for attrs in page.all("a") + page.all("use"):
            file, _, anchor = (attrs.get("href") or "").partition("#")
            target = found[file or name]
            assert not anchor or anchor in target.ids, (name, attrs)


def test_pages_speak_to_a_screen_reader(built):
    for name, text in pages(built).items():
        page = Page(text)
        assert page.all("html")[0]["lang"] == "en", name
        assert len(page.all("h1")) == (len(pages(built)) - 1 if name == ALL else 1), name
        assert {"main", "header", "footer"} <= {tag for tag, _ in page.tags}
        assert all(attrs.get("aria-label") for attrs in page.all("svg"))
        assert all(attrs.get("alt") for attrs in page.all("img"))
        labelled = {attrs.get("for") for attrs in page.all("label")}
        assert all(attrs["id"] in labelled for attrs in page.all("input") + page.all("select"))
        assert all(attrs.get("scope") in {"col", "row"} for attrs in page.all("th"))
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), name


def test_pages_can_be_mailed(built):
    sizes = {name: len(text.encode()) for name, text in pages(built).items()}
    assert sizes.pop(ALL) < 1_000_000 and all(size < 300_000 for size in sizes.values())


def test_the_single_file_holds_every_page_and_leads_nowhere_else(built):
    text = pages(built)[ALL]
    page = Page(text)
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text) and "https://" not in text
    assert all(attrs["href"][0] == "#" and attrs["href"][1:] in page.ids for attrs in page.all("a"))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(page.ids)
    for attrs in (attrs for _, attrs in page.tags if "aria-labelledby" in attrs):
        assert attrs["aria-labelledby"] in page.ids
    for told in (sample.OBSERVED["delivery"], sample.failing()["title"], "left no result", "viewBox"):
        assert told in text
    assert page.all("main") and len(page.all("main")) == len(page.all("footer")) == 1


def test_the_first_page_has_the_worst_first_and_every_consequence(built):
    text = pages(built)["index.html"]
    assert re.search(r'class="badge fail big"', text)
    order = [text.index(f'href="{name}"') for name in (
        "chaos-cache-stampede.html", "golden-chat.html", "platform-slow-cache.html", "chaos-database-lost.html",
    )]  # fmt: skip
    assert order == sorted(order)
    for data in (sample.result(), sample.failing(), sample.unknown()):
        assert data["consequence"] in text
    assert "Not shown: “14 users lost" in text and "Failed: <code>acknowledged-writes</code>" in text
    assert "Undecided: “Nothing can be said" in text
    assert "14 of 17" not in text and "18 of 20 checks hold" in text
    assert "IC-C1 Database resilience" in text and "What is not proven" in text


def test_the_first_page_shows_what_was_measured_only_where_something_was(built):
    text = pages(built)["index.html"]
    assert "proxy overhead" in text and "3, from 1.05 to 1.12" in text and "at most 3 s" in text
    assert "What was measured" not in site.index([], [])


def test_revenue_is_shown_by_source_and_never_added_up(built):
    text = pages(built)["index.html"]
    table = re.sub(r"<[^>]*>", " ", text[text.index('id="h-revenue"') : text.index('id="h-grid"')])
    for source, total in (("Top 20", 347), ("Top 30", 135), ("Critical 15", 177)):
        assert re.search(rf"{source}\s[^A-Z]*protected\s[^A-Z]*\s{total}\s", table)
    assert "give no revenue" in table and str(347 + 135 + 177) not in table


def test_the_grid_has_a_column_for_each_parameter_set_and_a_filter_for_each_check(built):
    text = pages(built)["index.html"]
    part = text[text.index('id="h-grid"') : text.index('id="h-measured"')]
    assert '<th scope="col" role="columnheader">users 80, seed 8</th>' in part
    keys = dict(re.findall(r'<option value="(k\d+)">([^<]+)</option>', part))
    assert sorted(keys.values()) == sorted(sample.EXPECTED)
    for key in keys:
        assert f"has([value={key}]:checked) .entry.{key} " in text and f'class="entry {key} v-' in part
    assert {attrs["id"] for attrs in Page(part).all("input")} == {"v-all", "v-fail", "v-aborted", "v-unknown", "v-pass"}
    assert "not run" in part and f'href="{VARIANT_PAGE}"' in part


def test_every_line_of_the_catalogue_stands_open_to_the_browsers_search(built):
    text = pages(built)["index.html"]
    part = text[text.index('id="h-coverage"') :]
    assert "<details" not in part
    assert (
        part.count('<li class="open">') + part.count('<li class="proven">') + part.count('<li class="failed">') == 267
    )


def test_each_control_has_its_picture_and_what_the_protection_cost_and_saved(built):
    text = pages(built)["chaos-database-lost.html"]
    for control in sample.result()["controls"]:
        start = text.index(f'id="control-{control["name"]}"')
        part = text[start : text.index("</article>", start)]
        assert f'id="compare-{control["name"]}"' in part and part.count("<svg") == 2
        assert "What the protection cost" in part and "What it saved" in part and "8 users that are in both" in part
    hurt = text[text.index('id="control-no-deadline"') : text.index('id="control-ack-before-commit"')]
    assert 'data-label="Without deadline"' in hurt and "more questions" in hurt
    assert "What it saved:</strong> nothing that was recorded" in text  # a control that broke nothing here


def test_a_runs_page_says_what_changed(built):
    found = pages(built)
    text = found["chaos-database-lost.html"]
    assert "The verdict went from unknown to pass." in text and "Compared with the run of" in text
    assert "came out as before" in text and "<td" in text[text.index('id="difference"') :]
    assert "nothing to compare" in found[VARIANT_PAGE]


def test_a_runs_page_tells_all_of_it(built):
    text = pages(built)["chaos-database-lost.html"]
    data = sample.result()
    for told in (data["question"], data["command"], "PostgreSQL 18.6", "redo done at", "Postgres killed", "IC-C1.2"):
        assert told in text
    assert "<code>store_unavailable</code>" in text
    assert "5 of 5 hold" in text
    for name in ("figure-latency", "figure-throughput", "figure-sequence", "compare-no-deadline"):
        assert f'id="{name}"' in text
    assert "does not show in waiting times" in text[text.index('id="compare-event-sent-twice"') :]
    assert sample.SUFFERED["acknowledged-writes"] in text


def test_the_notebook_is_told_without_code_and_without_repeating(built):
    text = pages(built)["chaos-database-lost.html"]
    notebook = text[text.index("The notebook as it ran") :]
    assert "sends were refused within half a second" in notebook and "load 30 s, heal, audit" in notebook
    assert "await run" not in notebook and "show(result)" not in notebook
    assert '<a href="#figure-latency">' in notebook and "<img" not in notebook


def test_evidence_stands_beside_a_failed_check(built):
    text = pages(built)["chaos-cache-stampede.html"]
    assert "Evidence (2)" in text and "user-29-m4" in text
    assert "Should have failed and did not: recovery" in text


def test_an_aborted_run_has_a_page_of_its_own(built):
    text = pages(built)["golden-chat.html"]
    assert "left no result" in text and "--only golden/chat --seed 3" in text
    assert "Kernel died &lt;1&gt;" in text and "21 November 2026" in text


def test_results_json_holds_the_latest_runs_and_the_coverage(built):
    found = json.loads((built / "results.json").read_text())
    assert found["schema"] == 1 and found["commit"] == "4f1c2ab9d0e3"
    verdicts = {run["scenario"]: run["verdict"] for run in found["runs"] if run["variant"] == "smoke"}
    assert [run["seed"] for run in found["runs"] if run["variant"] == VARIANT] == [8]
    assert verdicts == {
        "chaos/cache-stampede": "fail", "golden/chat": "aborted",
        "platform/slow-cache": "unknown", "chaos/database-lost": "pass",
    }  # fmt: skip
    run = found["runs"][-2]
    assert run["checks"][0] == {
        "name": "acknowledged-writes", "verdict": "pass", "expected": sample.EXPECTED["acknowledged-writes"],
        "observed": "287 of 287 found", "proves": ["IC-C1.1"],
    }  # fmt: skip
    assert run["controls"][1]["defect"] == "netra_sim.defects:ack_before_commit"
    assert found["coverage"]["IC-C1.1"] == {"state": "proven", "scenarios": ["chaos/database-lost"]}
    assert found["coverage"]["IC-C2.3"]["state"] == "failed"
    assert found["coverage"]["IC-C6.3"]["state"] == "open"  # its check has no control
    assert found["coverage"]["T30-14"]["state"] == "open"


def test_junit_has_a_case_for_every_check_and_control(built):
    root = ET.parse(built / "junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root}
    good = suites["chaos/database-lost"]
    assert f"chaos/database-lost ({VARIANT})" in suites
    assert (good.get("tests"), good.get("failures"), good.get("errors")) == ("8", "0", "0")
    bad = suites["chaos/cache-stampede"]
    assert (bad.get("tests"), bad.get("failures"), bad.get("errors")) == ("6", "2", "0")
    assert suites["platform/slow-cache"].get("errors") == suites["golden/chat"].get("errors") == "1"
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("28", "2", "2")


def test_junit_is_never_green_when_the_verdict_is_not_pass(tmp_path):
    sample.write_run(tmp_path, sample.result(verdict="unknown"), notebook=False, users=1)
    assert ET.fromstring(junit.junit(runs.latest(tmp_path)).encode()).get("errors") == "1"


def test_junit_survives_what_xml_cannot_hold(tmp_path):
    checks = [sample.check("c", "fail", observed="\x1b[31mred\x1b[0m \x00")]
    sample.write_run(tmp_path, sample.result(verdict="fail", checks=checks), notebook=False, users=1)
    (suite,) = ET.fromstring(junit.junit(runs.latest(tmp_path)).encode())
    assert "red" in suite.find("testcase/failure").text


def test_a_site_without_runs_says_so(tmp_path):
    index = site.build(tmp_path / "runs", tmp_path / "reports", {"row": []})
    assert "No run is stored yet" in index.read_text()
    assert json.loads((tmp_path / "reports" / "results.json").read_text())["runs"] == []


def test_a_run_whose_history_is_gone_still_has_a_page(tmp_path):
    folder = sample.write_run(tmp_path / "runs", sample.result(), users=2)
    (folder / "history.jsonl").unlink()
    index = site.build(tmp_path / "runs", tmp_path / "reports", {"row": []})
    text = (index.parent / "chaos-database-lost.html").read_text()
    assert "no longer stored" in text
    assert '<img alt="' in text  # the notebook's own figures stand in


def test_an_aborted_run_counts_for_its_own_parameters(tmp_path):
    sample.write_run(tmp_path, sample.result(), notebook=False, users=1)
    late = tmp_path / "chaos" / "database-lost" / "20261122T000000Z-seed8"
    late.mkdir()
    (late / runs.VARIANT).write_text(VARIANT)
    assert [(run.verdict, run.variant) for run in runs.latest(tmp_path)] == [("aborted", VARIANT), ("pass", "smoke")]
    assert "--seed 8 --set users=80<" in site.page(runs.latest(tmp_path)[0])


def test_what_somebody_tried_once_counts_until_the_usual_run(tmp_path):
    tried = sample.result(variant="users=3")
    sample.write_run(tmp_path, tried, "20261120T000000Z", notebook=False, users=1)
    assert [run.variant for run in runs.latest(tmp_path)] == ["users=3"]
    own = sample.result(sets=["smoke", "users=9"])
    sample.write_run(tmp_path, own, "20261121T000000Z", notebook=False, users=1)
    sample.write_run(tmp_path, sample.result(variant="users=9"), "20261119T000000Z", notebook=False, users=1)
    assert [run.variant for run in runs.latest(tmp_path)] == ["smoke", "users=9"]


def test_the_run_before_is_the_last_that_left_a_result_with_the_same_parameters(tmp_path):
    sample.write_run(tmp_path, sample.result(seconds=1.0), "20261120T000000Z", notebook=False, users=1)
    sample.write_run(tmp_path, sample.result(seconds=2.0, variant=VARIANT), "20261121T000000Z", notebook=False, users=1)
    (tmp_path / "chaos" / "database-lost" / "20261121T010000Z-seed7").mkdir()
    own = sample.result(seconds=3.0, sets=["smoke", VARIANT])
    sample.write_run(tmp_path, own, "20261122T000000Z", notebook=False, users=1)
    usual, other = runs.latest(tmp_path)
    assert usual.before.data["seconds"] == 1.0 and other.before is None


def test_a_parameter_set_is_told_in_words():
    assert runs.set_name(runs.USUAL) == "usual parameters"
    assert runs.set_name("users=16,time_scale=0.2,all_controls=True") == "users 16, time scale 0.2, every control"
