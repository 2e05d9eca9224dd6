"""A value that satisfies a JSON schema: seeded where it is free, grounded where the schema says so. No I/O.

One keyword is this simulator's own: `x-from: "tool/field/..."` takes a value out of that tool's result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netra_sim.externals.llm import prose
from netra_sim.kernel.rng import Rng

Schema = Mapping[str, Any]
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Author:
    """Writes the values of one answer; each place in the document draws from a stream of its own."""

    rng: Rng
    root: Schema
    results: Mapping[str, Any] = field(default_factory=dict)
    asked: str = ""

    def value(self, schema: Schema, *path: str) -> Any:
        """A value for `schema` at `path`; what the data should tell and does not is null or least, not drawn."""
        schema = self._resolve(schema)
        if "x-from" in schema:
            found = _point(self.results, schema["x-from"])
            return found if _fits(found, schema) else _least(schema)
        for fixed in ("const", "default"):
            if fixed in schema:
                return schema[fixed]
        if "enum" in schema:
            return self.rng.stream(*path).choice(schema["enum"])
        return self._drawn(schema, path)

    def _drawn(self, schema: Schema, path: tuple[str, ...]) -> Any:
        kind = _kind(schema)
        if kind == "object":
            return {name: self.value(part, *path, name) for name, part in schema.get("properties", {}).items()}
        if kind == "array":
            least = schema.get("minItems", 1)
            count = self.rng.stream(*path).randint(least, max(least, schema.get("maxItems", least + 2)))
            return [self.value(schema.get("items", {}), *path, str(n)) for n in range(count)]
        if kind == "boolean":
            return self.rng.stream(*path).random() < 0.5
        if kind in ("integer", "number"):
            return self._number(schema, path, whole=kind == "integer")
        return None if kind == "null" else self._string(schema, path)

    def _number(self, schema: Schema, path: tuple[str, ...], whole: bool) -> float:
        low, high = _bounds(schema, whole)
        stream = self.rng.stream(*path)
        if whole:
            return stream.randint(int(low), int(high))
        return min(max(round(stream.uniform(low, high), 2), low), high)

    def _string(self, schema: Schema, path: tuple[str, ...]) -> str:
        stream = self.rng.stream(*path)
        words = prose.text(stream, self.asked, 20, 48) if "description" in schema else f"{path[-1] if path else 'item'}"
        while len(words) < schema.get("minLength", 0):
            words = f"{words} {prose.sentence(stream)}"
        return words[: schema.get("maxLength")]

    def _resolve(self, schema: Schema) -> Schema:
        """Follow $ref and take the first branch of anyOf, oneOf or allOf that is not null."""
        if "$ref" in schema:
            found = _point(self.root, schema["$ref"].removeprefix("#/"))
            return self._resolve({**found, **{k: v for k, v in schema.items() if k != "$ref"}})
        for several in ("anyOf", "oneOf", "allOf"):
            if several in schema and "x-from" not in schema:
                rest = {k: v for k, v in schema.items() if k != several}
                branch = next((s for s in schema[several] if s.get("type") != "null"), schema[several][0])
                return self._resolve({**branch, **rest})
        return schema


def _point(data: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901; the leading slash may be left out), or `_ABSENT`."""
    for part in pointer.strip("/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(data, Mapping) and name in data:
            data = data[name]
        elif isinstance(data, list) and name.isdecimal() and int(name) < len(data):
            data = data[int(name)]
        else:
            return _ABSENT
    return data


def _kinds(schema: Schema) -> list[str]:
    """The types a schema allows, as far as it names them."""
    kinds = schema.get("type", [])
    named = [kinds] if isinstance(kinds, str) else list(kinds)
    return named + [kind for part in schema.get("anyOf", schema.get("oneOf", [])) for kind in _kinds(part)]


def _kind(schema: Schema) -> str:
    fallback = "object" if "properties" in schema else "string"
    return next((kind for kind in _kinds(schema) if kind != "null"), _kinds(schema)[0] if _kinds(schema) else fallback)


def _bounds(schema: Schema, whole: bool) -> tuple[float, float]:
    step = 1 if whole else 0.01
    low = schema.get("minimum", schema["exclusiveMinimum"] + step if "exclusiveMinimum" in schema else None)
    high = schema.get("maximum", schema["exclusiveMaximum"] - step if "exclusiveMaximum" in schema else None)
    if low is None:
        low = 0 if high is None or high >= 0 else high - 100
    return low, high if high is not None else low + 100


def _fits(value: Any, schema: Schema) -> bool:
    """Whether a value out of the data is of a type, in the enum and within the bounds that the schema allows."""
    if value is _ABSENT or ("enum" in schema and value not in schema["enum"]):
        return False
    kinds = _kinds(schema)
    if kinds and not any(isinstance(value, _TYPES[kind]) for kind in kinds):
        return False
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))


def _least(schema: Schema) -> Any:
    """What to say where the data says nothing: null if allowed, else the default, else the least value."""
    if "default" in schema or "null" in _kinds(schema):
        return schema.get("default")
    if "enum" in schema:
        return schema["enum"][0]
    kind = _kind(schema)
    if kind in ("integer", "number"):
        return _bounds(schema, kind == "integer")[0]
    empty: dict[str, Any] = {"object": {}, "array": [], "boolean": False}
    return empty.get(kind, "")
