"""junit.xml for CI servers: a suite per run, a test case per check and per control."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from netra_sim.reports.runs import Run

# What XML 1.0 cannot hold, e.g. colour codes in an observed text.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(runs: Iterable[Run]) -> str:
    """The document; unknown and aborted are errors, so that nothing undecided looks green."""
    suites = ET.Element("testsuites", name="netra_sim")
    for run in runs:
        _suite(suites, run)
    totals = {key: sum(int(suite.get(key, "0")) for suite in suites) for key in ("tests", "failures", "errors")}
    seconds = sum(float(suite.get("time", "0")) for suite in suites)
    _set(suites, **totals, time=f"{seconds:.3f}")
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _suite(suites: ET.Element, run: Run) -> None:
    suite = ET.SubElement(suites, "testsuite", name=_clean(run.name), timestamp=_clean(run.started))
    if run.result is None:
        _case(suite, run.name, "run", "error", "aborted: the run was started and left no result")
    else:
        _cases(suite, run.name, run.result.data)
    found = {
        name: len(suite.findall(f"testcase/{tag}")) for name, tag in (("failures", "failure"), ("errors", "error"))
    }
    seconds = run.result.data["seconds"] if run.result else 0.0
    _set(suite, tests=len(suite.findall("testcase")), **found, time=f"{seconds:.3f}")


def _cases(suite: ET.Element, scenario: str, data: Mapping[str, Any]) -> None:
    for check in data["checks"]:
        kind = {"pass": None, "fail": "failure"}.get(check["outcome"], "error")
        _case(suite, scenario, check["check"], kind, f"expected: {check['expected']}\nobserved: {check['observed']}")
    for control in data["controls"]:
        kind = None if control["convicts"] else "error" if control["verdict"] in ("unknown", "aborted") else "failure"
        expected, failed = (", ".join(control[key]) or "none" for key in ("expected", "failed"))
        _case(suite, scenario, f"control: {control['name']}", kind, f"should have failed: {expected}\nfailed: {failed}")
    if data.get("error"):
        _case(suite, scenario, "run", "error", f"{data['error']['code']}: {data['error']['text']}")
    elif data["verdict"] != "pass" and suite.find("testcase/*") is None:
        _case(
            suite,
            scenario,
            "run",
            "failure" if data["verdict"] == "fail" else "error",
            f"the verdict is {data['verdict']}",
        )


def _case(suite: ET.Element, scenario: str, name: str, kind: str | None, told: str) -> None:
    case = ET.SubElement(suite, "testcase", classname=_clean(scenario.replace("/", ".")), name=_clean(name))
    if kind:
        problem = ET.SubElement(case, kind, message=_clean(told.partition("\n")[0]))
        problem.text = _clean(told)


def _set(element: ET.Element, **values: object) -> None:
    for key, value in values.items():
        element.set(key, str(value))


def _clean(text: object) -> str:
    return _ILLEGAL.sub("\ufffd", str(text))
