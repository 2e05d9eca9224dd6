"""A notebook under way: what its progress tells the sweep about turns."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from netra_sim.scenarios import registry
from netra_sim.scenarios.running import Job, Running


@pytest.fixture
def running(tmp_path):
    scenario = registry.find("golden/chat")
    job = Job(scenario, tmp_path / "chat.ipynb", {}, "smoke", tmp_path)
    one = Running(job, SimpleNamespace(pid=0), io.BytesIO(), SimpleNamespace(give=lambda: None), began=0.0)

    def told(*phases):
        with (tmp_path / "progress.jsonl").open("a") as out:
            out.writelines(json.dumps({"trial": trial, "phase": phase}) + "\n" for trial, phase in phases)
        one.tell()
        return one

    return told


def test_a_lab_that_is_up_waits_for_its_protected_trial(running):
    assert running(("protected", "starting")).coming_up
    assert running(("protected", "waiting")).wants_to_be_measured


def test_a_trial_is_alone_until_it_only_reads_what_was_left(running):
    running(("protected", "waiting")).give()
    one = running(("protected", "load"), ("protected", "settling"))
    assert one.is_measured and not one.work_left
    one = running(("protected", "auditing"))
    assert not one.is_measured and one.under_way == 0 and one.work_left > 0


def test_a_trial_that_audits_and_then_ends_makes_room_once(running):
    running(("protected", "waiting")).give()
    running(("protected", "auditing"), ("protected", "ended")).give()
    assert running().under_way == 1
    assert running(("event-dropped", "auditing"), ("event-dropped", "ended")).under_way == 0


def test_a_trial_that_failed_before_its_audit_makes_room_too(running):
    running(("protected", "waiting")).give()
    assert not running(("protected", "ended")).is_measured


def test_controls_side_by_side_need_the_time_of_one(running):
    running(("protected", "waiting")).give()
    one = running(("protected", "ended"))
    one.job = replace(one.job, parameters={"all_controls": True})
    assert (one.job.controls, one.job.scenario.side_by_side) == (17, 3)
    assert one.work_left == 6 * one.lasted
    one.give()
    one.give()
    assert one.work_left == 5 * one.lasted
