"""Every kind of fault on the wire, by its name in plans and in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from netra_sim.faults.kinds.bandwidth import Bandwidth
from netra_sim.faults.kinds.base import Kind
from netra_sim.faults.kinds.black_hole import BlackHole
from netra_sim.faults.kinds.corrupt import Corrupt
from netra_sim.faults.kinds.down import Down
from netra_sim.faults.kinds.latency import Latency
from netra_sim.faults.kinds.limit_data import LimitData
from netra_sim.faults.kinds.noop import Noop
from netra_sim.faults.kinds.partition import Partition
from netra_sim.faults.kinds.refuse import Refuse
from netra_sim.faults.kinds.reset_peer import ResetPeer
from netra_sim.faults.kinds.slicer import Slicer
from netra_sim.faults.kinds.slow_close import SlowClose
from netra_sim.faults.kinds.timeout import Timeout
from netra_sim.kernel.errors import BadValue, UnknownName

_ALL: tuple[type[Kind], ...] = (
    Latency, Bandwidth, SlowClose, Slicer, LimitData, ResetPeer, Timeout, Corrupt, Partition, BlackHole, Refuse, Down,
    Noop,
)  # fmt: skip
KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in _ALL}


def make(name: str, attributes: Mapping[str, Any] | None) -> Kind:
    """A fault of this kind; keys are case-insensitive and unknown ones ignored, as in Toxiproxy.

    UnknownName for the kind; BadValue for an attribute that is no integer of 64 bits.
    """
    if name not in KINDS:
        raise UnknownName(what="kind of fault", name=name, known=", ".join(KINDS))
    given = {str(key).lower(): value for key, value in (attributes or {}).items()}
    taken = {field.name: given[field.name] for field in fields(KINDS[name]) if given.get(field.name) is not None}
    for key, value in taken.items():
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
            raise BadValue(field=f"attributes.{key}", value=value, allowed="an integer of 64 bits")
    return KINDS[name](**taken)


def attributes(kind: Kind) -> dict[str, int]:
    """The attributes with their values."""
    return {field.name: getattr(kind, field.name) for field in fields(kind)}
