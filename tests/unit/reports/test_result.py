"""A result: stored whole, read back, raised."""

import json

import pytest

from netra_sim.kernel.errors import BadValue, UnknownName, VerdictError
from netra_sim.reports.result import Result, write_whole
from tests.unit.reports import sample


def test_what_was_saved_is_loaded_from_the_file_or_its_folder(tmp_path):
    file = Result(sample.result(), tmp_path).save()
    assert Result.load(file) == Result.load(tmp_path) == Result(sample.result(), tmp_path)


def test_a_write_that_breaks_leaves_the_old_file_and_no_other(tmp_path):
    file = tmp_path / "result.json"
    write_whole(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "new \ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"] and file.read_text() == "old"


def test_another_schema_is_refused(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"schema": 2}))
    with pytest.raises(BadValue, match=r"schema of result\.json cannot be 2"):
        Result.load(tmp_path)


def test_histories_come_from_beside_the_result(tmp_path):
    folder = sample.write_run(tmp_path, sample.result(), notebook=False, users=3)
    result = Result.load(folder)
    assert result.history.ops() and result.control("no-deadline").history.ops()
    assert result.control("ack-before-commit").label == "With the defect ack before commit"
    with pytest.raises(UnknownName, match="no-deadline, ack-before-commit"):
        result.control("nothing")


def test_only_a_pass_does_not_raise(tmp_path):
    Result(sample.result(), tmp_path).raise_unless_pass()
    with pytest.raises(VerdictError) as caught:
        Result(sample.failing(), tmp_path).raise_unless_pass()
    assert caught.value.facts["checks"] == "acknowledged-writes, control no-single-flight does not convict"


def test_a_run_that_broke_off_names_its_error(tmp_path):
    data = sample.result(verdict="unknown", error={"code": "host_gone", "text": "The lab host process has gone."})
    with pytest.raises(VerdictError, match="host_gone"):
        Result(data, tmp_path).raise_unless_pass()
