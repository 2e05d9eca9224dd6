import json
import logging
import sys

import pytest

from netra_sim.backend.telemetry.logs import JsonFormatter, to_stderr


def test_a_line_is_an_object_with_the_extras_as_fields():
    record = logging.makeLogRecord({"name": "netra.x", "levelname": "WARNING", "msg": "%s left", "args": (3,)})
    record.__dict__.update(run="r", cause=ValueError("odd"), none=None)
    line = json.loads(JsonFormatter("w1").format(record))
    assert (line["level"], line["worker"], line["logger"], line["message"]) == ("warning", "w1", "netra.x", "3 left")
    assert (line["run"], line["cause"], line["none"]) == ("r", "odd", None)
    assert line["at"] == record.created
    assert line.keys() == {"at", "level", "worker", "logger", "message", "run", "cause", "none"}


def test_a_traceback_stays_on_its_line():
    try:
        raise KeyError("lost")
    except KeyError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    text = JsonFormatter("w1").format(record)
    assert "\n" not in text
    assert "KeyError: 'lost'" in json.loads(text)["traceback"]


def test_all_logs_go_to_stderr(capsys: pytest.CaptureFixture[str]):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        to_stderr("w2")
        logging.getLogger("netra.test").info("hello", extra={"n": 1})
    finally:
        root.handlers[:], root.level = before
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["n"] == 1
