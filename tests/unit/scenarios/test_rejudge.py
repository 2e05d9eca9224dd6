"""Runs are stored by a scenario of two checks, and judged again by it or by one that has changed meanwhile."""

import json
import math
from dataclasses import replace

import pytest

from netra_sim.__main__ import main
from netra_sim.checks import slo
from netra_sim.kernel.history import History
from netra_sim.scenarios import registry, rejudge
from netra_sim.scenarios.judging import judged
from netra_sim.scenarios.scenario import Control
from tests.unit.reports import sample

NAME = "golden/chat"
SLOW = Control("slow", "Nothing ends what hangs.", ("send_within_limit",), without=("deadline",))


def variant(limit=0.49, controls=(SLOW,), more=()):
    """The scenario with a limit (s) on sends: with the protection they take less than 0.49 s, without it more."""
    checks = (slo.within_limit("send", limit, name="send_within_limit"), slo.within_limit("login", 1.0), *more)
    return replace(registry.find(NAME), checks=lambda _: checks, controls=lambda _: controls, smoke=("slow",))


@pytest.fixture
def becomes(monkeypatch, tmp_path):
    """Make a scenario the one of today, in a project of its own."""
    (tmp_path / "noxfile.py").touch()
    monkeypatch.chdir(tmp_path)
    return lambda scenario: monkeypatch.setitem(registry.scenarios(), NAME, scenario)


def stored(tmp_path, scenario, time="20261121T081500Z", **changes):
    """A run's folder, with the verdicts of this scenario."""
    control = {**SLOW.describe(), "history": "control-slow.jsonl", "faults": [], "users": 8}
    data = sample.result(scenario=NAME, parameters={"users": 8}, controls=[control], variant="smoke")
    folder = sample.write_run(tmp_path / "runs", data, time, notebook=False, users=8)
    history, bare = (History.load(folder / name) for name in ("history.jsonl", "control-slow.jsonl"))
    new = judged(scenario, scenario.parameters(), history, [(SLOW, bare)])
    told = {"verdict": new.verdict, "checks": new.checks, "controls_left": new.left}
    data = {**data, **told, "controls": [{**control, **new.controls[0]}], **changes}
    (folder / "result.json").write_text(json.dumps(data))
    return folder


def found(folder):
    return json.loads((folder / "result.json").read_text())


def test_nothing_changes_when_the_checks_are_the_same(tmp_path, becomes, capsys):
    becomes(variant())
    folder = stored(tmp_path, variant())
    before = (folder / "result.json").read_bytes()
    assert found(folder)["verdict"] == "pass"
    assert main(["judge"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("No stored verdict would change; judged: 1 run (2 histories, 4 verdicts of checks) in ")
    assert rejudge.rejudge([folder], write=True) == 0
    assert (folder / "result.json").read_bytes() == before


def test_a_stricter_limit_changes_the_check_and_the_run(tmp_path, becomes, capsys):
    folder = stored(tmp_path, variant())
    before = (folder / "result.json").read_bytes()
    becomes(variant(limit=0.1))
    assert main(["judge"]) == 1
    first, check, verdict, _, last = capsys.readouterr().out.splitlines()
    assert first == str(folder.relative_to(tmp_path))
    assert check.split()[:5] == ["check", "send_within_limit", "pass", "->", "fail"] and "longer than" in check
    assert verdict.split() == ["verdict", "of", "the", "run", "pass", "->", "fail"]
    assert last.startswith("Verdicts of 1 run would change")
    assert (folder / "result.json").read_bytes() == before


def test_a_limit_that_nothing_exceeds_acquits_the_control(tmp_path, becomes, capsys):
    stored(tmp_path, variant())
    becomes(variant(limit=math.inf))
    assert main(["judge"]) == 1
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "control slow convicts -> does not convict" in told
    assert any(line.startswith("control slow: send_within_limit fail -> pass") for line in told)
    assert "verdict of the run pass -> fail" in told


def test_checks_and_controls_that_are_new_or_gone_are_told(tmp_path, becomes, capsys):
    stored(tmp_path, variant(more=(slo.within_limit("login", 1.0, name="old"),)))
    becomes(variant(controls=(), more=(slo.within_limit("login", 1.0, name="fresh"),)))
    assert main(["judge"]) == 1
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("check fresh (new) -> pass") for line in told)
    assert "check old pass -> (gone)" in told and "control slow convicts -> (gone)" in told
    assert not any(line.startswith("verdict of the run") for line in told)


def _without_history(folder):
    (folder / "control-slow.jsonl").unlink()


def _broken(folder):
    (folder / "result.json").write_text("{")


def _holding(**changes):
    return lambda folder: (folder / "result.json").write_text(json.dumps({**found(folder), **changes}))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_holding(parameters={"user": 8}), "There is no parameter named 'user'"),
        (_holding(parameters={"users": 1}), "users cannot be 1"),
        (_holding(scenario="golden/cat"), "There is no scenario named 'golden/cat'"),
        (_holding(schema=0), "schema of result.json cannot be 0"),
        (_without_history, "FileNotFoundError"),
        (_broken, "JSONDecodeError"),
    ],
)
def test_a_run_that_cannot_be_judged_is_told_and_the_others_are_judged(tmp_path, becomes, capsys, spoil, why):
    becomes(variant())
    spoilt, whole = (stored(tmp_path, variant(), time=f"20261121T0{n}1500Z") for n in (8, 9))
    spoil(spoilt)
    told = rejudge.told([rejudge.again(spoilt), rejudge.again(whole)], 0.1)
    first, last = told.splitlines()
    assert first.startswith(f"{spoilt.relative_to(tmp_path)} cannot be judged: {why}")
    assert last.startswith("No stored verdict would change; judged: 1 run (") and last.endswith(
        "1 run cannot be judged."
    )
    assert main(["judge", "--run", str(spoilt)]) == 2
    assert "Nothing was judged." in capsys.readouterr().out


def test_runs_are_judged_side_by_side_in_their_order(tmp_path, becomes, capsys):
    scenario = replace(registry.find(NAME), controls=lambda _: (SLOW,))
    folders = [stored(tmp_path, scenario, time=f"20261121T0{n}1500Z") for n in (7, 8, 9)]
    (tmp_path / "runs" / NAME / "20261121T101500Z-seed7").mkdir()
    assert rejudge.chosen(tmp_path / "runs") == folders
    assert main(["judge"]) == 1
    told = capsys.readouterr().out
    assert [line for line in told.splitlines() if line.startswith("runs/")] == [
        str(folder.relative_to(tmp_path)) for folder in folders
    ]
    assert (
        told.count("control slow") == told.count("does not convict -> (gone)") == 3
        and "judged: 3 runs (3 histories" in told
    )


def test_runs_are_chosen_by_name_by_folder_or_as_the_report_shows_them(tmp_path, becomes, capsys):
    becomes(variant())
    older, newer = (stored(tmp_path, variant(), time=f"20261121T0{n}1500Z") for n in (8, 9))
    runs = tmp_path / "runs"
    assert rejudge.chosen(runs, ["golden"]) == [older, newer]
    assert rejudge.chosen(runs, ["chaos"]) == []
    assert rejudge.chosen(runs, shown=True) == [newer]
    assert main(["judge", "--run", str(older)]) == 0
    assert "judged: 1 run (" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--only", "golden/cat"], "There is no scenario named 'golden/cat'"),
        (["--run", "nowhere"], "a folder that holds result.json"),
        (["--run", "nowhere", "--latest"], "--run cannot be"),
    ],
)
def test_wrong_use_is_told(becomes, capsys, words, why):
    assert main(["judge", *words]) == 2
    assert why in capsys.readouterr().err


def test_where_nothing_is_stored_nothing_holds(becomes, capsys):
    assert main(["judge"]) == 2
    assert "no stored run" in capsys.readouterr().out


def test_what_is_written_keeps_the_old_verdicts_and_the_report_follows(tmp_path, becomes, capsys):
    folder = stored(tmp_path, variant())
    old = found(folder)
    becomes(variant(limit=0.1))
    assert main(["judge", "--write"]) == 1
    assert "Written: the verdicts of 1 run." in capsys.readouterr().out
    new = found(folder)
    assert new["verdict"] == "fail" and new["checks"][0]["outcome"] == "fail" and new["commit"] == old["commit"]
    (before,) = new["judged_before"]
    assert before["commit"] == old["commit"] and before["time"] == old["started"]
    assert {key: before[key] for key in ("verdict", "checks", "controls")} == {
        key: old[key] for key in ("verdict", "checks", "controls")
    }
    assert new["controls"][0]["history"] == "control-slow.jsonl" and new["controls"][0]["why"] == SLOW.why
    (run,) = json.loads((tmp_path / "reports" / "results.json").read_text())["runs"]
    assert run["verdict"] == "fail"
    assert "judged again" in (tmp_path / "reports" / "golden-chat.html").read_text()


def test_what_is_judged_and_written_twice_keeps_both_in_order(tmp_path, becomes):
    folder = stored(tmp_path, variant())
    for limit, code in ((0.1, 1), (0.1, 0), (0.49, 1)):
        becomes(variant(limit=limit))
        assert rejudge.rejudge([folder], write=True) == code
    new = found(folder)
    assert [before["verdict"] for before in new["judged_before"]] == ["pass", "fail"] and new["verdict"] == "pass"


def test_other_words_alone_are_written_but_change_no_verdict(tmp_path, becomes, capsys):
    folder = stored(tmp_path, variant())
    becomes(variant(limit=0.48))
    assert rejudge.rejudge([folder], write=True) == 0
    told = capsys.readouterr().out
    assert "No stored verdict would change" in told and "Only what is told of them would change in 1 run." in told
    assert "0.48 s" in found(folder)["checks"][0]["expected"]
