"""What a request asks for, read out of its body as Toxiproxy reads it: its checks, in its order, in its words."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from netra_sim.faults import kinds
from netra_sim.faults.kinds.base import Kind
from netra_sim.faults.kinds.message import PROTOCOLS, MessageKind
from netra_sim.faults.toxic import Toxic
from netra_sim.faults.wire.base import STREAMS
from netra_sim.kernel.errors import BadValue, UnknownName

Body = dict[str, Any]  # keys in lower case


class ApiError(Exception):
    """An answer in Toxiproxy's form: `{"error", "status"}`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass(frozen=True)
class Wanted:
    """A proxy that is asked for."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    protocol: str
    toxics: Sequence[Toxic]


def body(data: bytes) -> Body:
    """The object that a body begins with; ApiError when it does not begin with one."""
    return _object(_json(data), "")


def proxy(data: bytes) -> Wanted:
    """A proxy with its toxics; ApiError for the first thing that is wrong."""
    return _wanted(_checked(body(data)), "")


def proxies(data: bytes) -> list[Wanted]:
    """A list of proxies; ApiError tells the place of the one that is wrong, from 1."""
    told = _json(data)
    if told is not None and not isinstance(told, list):
        raise _bad("", "a list of proxies")
    bodies = [_checked(_object(one, f"proxy {at}")) for at, one in enumerate(told or (), 1)]
    return [_wanted(one, f" at proxy {at}") for at, one in enumerate(bodies, 1)]


def toxic(given: Body, taken: Collection[str], protocol: str) -> Toxic:
    """A toxic, checked in Toxiproxy's order: body, stream, type, duplicate, attributes; then the proxy's protocol."""
    toxicity, lease = number(given, "toxicity", 1.0), number(given, "lease_ms", 0)
    type_ = text(given, "type")
    stream = kinds.default_stream(type_) if given.get("stream") is None else text(given, "stream").lower()
    name = text(given, "name") or f"{type_}_{stream}"
    seed = given.get("seed")
    if seed is not None and type(seed) is not int:
        raise _bad("seed", "an integer")
    _object(given.get("attributes"), "attributes")
    if stream not in STREAMS:
        raise ApiError(400, "stream was invalid, can be either upstream or downstream")
    if type_ not in kinds.KINDS:
        raise ApiError(400, "invalid toxic type")
    if name in taken:
        raise ApiError(409, "toxic already exists")
    made = kind(type_, given, {})
    _understood(made, protocol)
    return Toxic(name, made, STREAMS[STREAMS.index(stream)], toxicity, seed, lease=lease / 1000)


def kind(type_: str, given: Body, so_far: dict[str, Any]) -> Kind:
    """A kind of fault with the attributes given, over those that are set so far."""
    told = {key: value for key, value in _object(given.get("attributes"), "attributes").items() if value is not None}
    try:
        return kinds.make(type_, {**so_far, **told})
    except (BadValue, UnknownName) as error:
        raise ApiError(400, f"bad request body: {error}") from error


def text(given: Body, field: str) -> str:
    """A text; empty when it is absent or null."""
    value = given.get(field)
    if value is not None and not isinstance(value, str):
        raise _bad(field, "a string")
    return (value or "").encode(errors="replace").decode()  # half a surrogate pair could never be told again


def protocol(given: Body) -> str:
    """What a proxy understands; empty when that is nothing."""
    named = text(given, "protocol")
    if named not in ("", *PROTOCOLS):
        raise ApiError(400, str(BadValue(field="protocol", value=named, allowed=f"{', '.join(PROTOCOLS)} or none")))
    return named


def number(given: Body, field: str, default: float) -> float:
    """A number; the default when it is absent or null."""
    value = given.get(field)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15):
        raise _bad(field, "a number")
    return default if value is None else float(value)


def flag(given: Body, field: str, default: bool) -> bool:
    """True or false; the default when it is absent or null."""
    value = given.get(field)
    if value is not None and not isinstance(value, bool):
        raise _bad(field, "true or false")
    return default if value is None else value


def _checked(given: Body) -> Body:
    """Every field of a proxy is of its type."""
    for field in ("name", "listen", "upstream"):
        text(given, field)
    flag(given, "enabled", True)
    protocol(given)
    if not isinstance(given.get("toxics") or [], list):
        raise _bad("toxics", "a list")
    return {**given, "toxics": [_object(one, "toxics") for one in given.get("toxics") or []]}


def _wanted(given: Body, place: str) -> Wanted:
    for field in ("name", "upstream"):
        if not text(given, field):
            raise ApiError(400, f"missing required field: {field}{place}")
    toxics: list[Toxic] = []
    for one in given["toxics"]:
        try:
            toxics.append(toxic(one, [toxic.name for toxic in toxics], protocol(given)))
        except ApiError as error:
            raise ApiError(error.status, error.text + place) from error
    name, listen, upstream = (text(given, field) for field in ("name", "listen", "upstream"))
    return Wanted(name, listen, upstream, flag(given, "enabled", True), protocol(given), toxics)


def _understood(made: Kind, protocol: str) -> None:
    """A fault on messages needs a proxy that understands them."""
    if isinstance(made, MessageKind) and protocol not in made.protocols:
        wanted, has = " or ".join(made.protocols), f"has {protocol}" if protocol else "has none"
        raise ApiError(400, f"type: {made.name} needs a proxy created with the protocol {wanted}; this one {has}")


def _json(data: bytes) -> Any:
    """The first value of a body; what follows it is not read, as in Go's decoder."""
    try:
        return json.JSONDecoder(parse_constant=_no_number).raw_decode(data.decode(errors="replace").lstrip())[0]
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"bad request body: {error}") from error


def _object(value: Any, what: str) -> Body:
    """An object with its keys in lower case; null is an empty one."""
    if value is not None and not isinstance(value, dict):
        raise _bad(what, "an object")
    return {str(key).lower(): one for key, one in (value or {}).items()}


def _bad(field: str, allowed: str) -> ApiError:
    return ApiError(400, f"bad request body: {field + ': ' if field else ''}not {allowed}")


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
