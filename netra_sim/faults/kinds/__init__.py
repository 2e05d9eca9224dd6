"""Every kind of fault on the wire, by its name in plans and in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any

from netra_sim.faults.kinds.bandwidth import Bandwidth
from netra_sim.faults.kinds.base import Kind
from netra_sim.faults.kinds.black_hole import BlackHole
from netra_sim.faults.kinds.corrupt import Corrupt
from netra_sim.faults.kinds.corrupt_message import CorruptMessage
from netra_sim.faults.kinds.cut import Cut
from netra_sim.faults.kinds.delay_message import DelayMessage
from netra_sim.faults.kinds.down import Down
from netra_sim.faults.kinds.drop_message import DropMessage
from netra_sim.faults.kinds.duplicate_message import DuplicateMessage
from netra_sim.faults.kinds.http_body import HttpBody
from netra_sim.faults.kinds.http_error import HttpError
from netra_sim.faults.kinds.latency import Latency
from netra_sim.faults.kinds.limit_data import LimitData
from netra_sim.faults.kinds.message import MessageKind
from netra_sim.faults.kinds.noop import Noop
from netra_sim.faults.kinds.partition import Partition
from netra_sim.faults.kinds.pg_error import PgError
from netra_sim.faults.kinds.redis_error import RedisError
from netra_sim.faults.kinds.redis_value import RedisValue
from netra_sim.faults.kinds.refuse import Refuse
from netra_sim.faults.kinds.reorder_message import ReorderMessage
from netra_sim.faults.kinds.reset_peer import ResetPeer
from netra_sim.faults.kinds.slicer import Slicer
from netra_sim.faults.kinds.slow_close import SlowClose
from netra_sim.faults.kinds.stall import Stall
from netra_sim.faults.kinds.timeout import Timeout
from netra_sim.faults.kinds.truncate_message import TruncateMessage
from netra_sim.faults.kinds.ws_close import WsClose
from netra_sim.faults.match import Matcher
from netra_sim.faults.wire.base import Stream
from netra_sim.kernel.errors import BadValue, UnknownName

_ALL: tuple[type[Kind], ...] = (
    Latency, Bandwidth, SlowClose, Slicer, LimitData, ResetPeer, Timeout, Corrupt, Partition, BlackHole, Refuse, Down,
    Noop, Cut, DropMessage, DelayMessage, DuplicateMessage, ReorderMessage, Stall, TruncateMessage, CorruptMessage,
    PgError, RedisError, RedisValue, HttpError, HttpBody, WsClose,
)  # fmt: skip
KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in _ALL}
ON_BYTES = {name: kind for name, kind in KINDS.items() if not issubclass(kind, MessageKind)}  # need no protocol


def make(name: str, attributes: Mapping[str, Any] | None) -> Kind:
    """A fault of this kind; keys are case-insensitive and, of a byte-level kind, unknown ones ignored, as in Toxiproxy.

    UnknownName for the kind, or for an attribute of a kind on messages; BadValue for what an attribute does not take.
    """
    if name not in KINDS:
        raise UnknownName(what="kind of fault", name=name, known=", ".join(KINDS))
    kind = KINDS[name]
    given = {str(key).lower(): value for key, value in (attributes or {}).items()}
    known = {field.name: field for field in fields(kind)}
    if issubclass(kind, MessageKind):
        for key in given:
            if key not in known:
                raise UnknownName(what=f"attribute of {name}", name=key, known=", ".join(known))
        return kind(**{key: _checked(known[key], value) for key, value in given.items() if value is not None})
    taken = {key: given[key] for key in known if given.get(key) is not None}
    for key, value in taken.items():
        _integer(key, value)
    return kind(**taken)


def default_stream(name: str) -> Stream:
    """The direction that a fault of this kind strikes where nobody says; downstream for what is no kind."""
    kind = KINDS.get(name)
    return kind.stream if kind is not None and issubclass(kind, MessageKind) else "downstream"


def _checked(field: Field[Any], value: Any) -> Any:
    """An attribute of a kind on messages, by the type of its field."""
    if field.name == "match":
        return Matcher.parse(value)
    if field.type == "int":
        return _integer(field.name, value)
    if field.type == "str" and isinstance(value, str):
        return value
    if field.type == "str":
        raise BadValue(field=f"attributes.{field.name}", value=value, allowed="a text")
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in [*value, *value.values()]):
        raise BadValue(field=f"attributes.{field.name}", value=value, allowed="an object of texts")
    return dict(value)


def _integer(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        raise BadValue(field=f"attributes.{key}", value=value, allowed="an integer of 64 bits")
    return value


def attributes(kind: Kind) -> dict[str, Any]:
    """The attributes with their values, as JSON."""
    said = {field.name: getattr(kind, field.name) for field in fields(kind)}
    return {name: value.as_dict() if isinstance(value, Matcher) else value for name, value in said.items()}
